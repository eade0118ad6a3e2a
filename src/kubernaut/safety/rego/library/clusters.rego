# METADATA
# title: One disturbance at a time
# description: One destructive action at a time, one cluster draining at a time, and not too much at once.
package kubernaut.library.clusters

import data.kubernaut.lib
import data.kubernaut.settings

deny contains sprintf("%s is destructive, and %s runs already", [input.action.type, run.action]) if {
	lib.destructive
	some run in input.cluster.running
	lib.matches_any(run.action, settings.destructive_actions)
}

deny contains sprintf("a node of cluster %s is being drained", [name]) if {
	input.action.type == "kubernetes/drain_node"
	some name in input.cluster.drainingElsewhere
	name != object.get(input.cluster, "name", "")
}

deny contains sprintf("%d actions run already: at most %d may", [count(input.cluster.running), most]) if {
	most := settings.max_running
	count(input.cluster.running) >= most
}
