# METADATA
# title: Development
# description: Warns only.
package kubernaut.library.development

import data.kubernaut.lib

warn contains sprintf("%s is destructive", [input.action.type]) if {
	lib.environment == "development"
	lib.destructive
}
