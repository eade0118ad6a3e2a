# METADATA
# title: Production
# description: Nothing destructive; at most so many replicas, critical workloads never below three; images and configuration only with a label that approves it.
package kubernaut.library.production

import data.kubernaut.lib
import data.kubernaut.settings

here if lib.environment == "production"

deny contains sprintf("%s is destructive, and this is production", [input.action.type]) if {
	here
	lib.destructive
	not lib.overridden
}

deny contains sprintf("%d replicas are more than the %d that production allows", [lib.replicas, most]) if {
	here
	most := settings.production.max_replicas
	lib.replicas > most
}

deny contains sprintf("%s is critical: fewer than %d replicas are not allowed in production", [input.target.name, least]) if {
	here
	lib.critical
	least := settings.production.critical_min_replicas
	lib.replicas < least
}

deny contains {
	"msg": "an image in production changes only where it was approved",
	"mend": "Label the target kubernaut.ai/image-update-approved=true.",
} if {
	here
	lib.changes_image
	not lib.label_is("kubernaut.ai/image-update-approved", "true")
}

deny contains {
	"msg": "configuration in production changes only where it was approved",
	"mend": "Label the target kubernaut.ai/config-update-approved=true.",
} if {
	here
	lib.changes_config
	not lib.label_is("kubernaut.ai/config-update-approved", "true")
}

require_approval contains "a critical workload in production" if {
	here
	lib.critical
	not lib.dry_run
}
