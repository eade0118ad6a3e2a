# METADATA
# title: Dry run first
# description: Risky actions are tried before they are run.
package kubernaut.library.dry_run

import data.kubernaut.lib

require_dry_run contains sprintf("%s is risky: try it first", [input.action.type]) if {
	lib.risky
	not lib.dry_run
	not lib.label_is("kubernaut.ai/dry-run-status", "success")
}
