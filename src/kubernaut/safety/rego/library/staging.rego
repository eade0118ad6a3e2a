# METADATA
# title: Staging
# description: As free as can be, with a bound on replicas and a word about what is destructive.
package kubernaut.library.staging

import data.kubernaut.lib
import data.kubernaut.settings

here if lib.environment == "staging"

deny contains sprintf("%d replicas are more than the %d that staging allows", [lib.replicas, most]) if {
	here
	most := settings.staging.max_replicas
	lib.replicas > most
}

warn contains sprintf("%s is destructive", [input.action.type]) if {
	here
	lib.destructive
}
