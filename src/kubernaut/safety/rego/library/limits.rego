# METADATA
# title: Limits
# description: Bounds that hold everywhere, for replicas and for the size of what is written into ConfigMaps and Secrets.
package kubernaut.library.limits

import data.kubernaut.lib
import data.kubernaut.settings

deny contains sprintf("%d replicas are more than the %d that are ever allowed", [lib.replicas, most]) if {
	most := settings.limits.max_replicas
	lib.replicas > most
}

deny contains "fewer than no replicas cannot be" if lib.replicas < 0

deny contains sprintf("%s is critical and may not be scaled to nothing", [input.target.name]) if {
	lib.critical
	lib.replicas == 0
}

deny contains sprintf("%d bytes are more than the %d that may be written", [size, most]) if {
	lib.changes_config
	most := settings.limits.max_inputs_bytes
	size := object.get(input.action, "inputsSize", count(json.marshal(object.get(input.action, "inputs", {}))))
	size > most
}
