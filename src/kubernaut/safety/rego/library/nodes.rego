# METADATA
# title: Nodes
# description: No drain in a small cluster, no cordon of the last node, no touching of the control plane.
package kubernaut.library.nodes

import data.kubernaut.lib
import data.kubernaut.settings

drain if input.action.type == "kubernetes/drain_node"

removal if drain

removal if input.action.type == "kubernetes/cordon_node"

deny contains sprintf("a cluster of %d nodes is too small to drain one: there must be %d", [input.cluster.nodes, least]) if {
	drain
	least := settings.limits.min_nodes_for_drain
	input.cluster.nodes < least
}

deny contains "no node is taken away while it is not known how many there are" if {
	removal
	not is_number(object.get(input, ["cluster", "nodes"], null))
}

deny contains "no node is taken away while it is not known how many can be used" if {
	removal
	not is_number(object.get(input, ["cluster", "schedulableNodes"], null))
}

deny contains "it is the last node that can be used" if {
	removal
	input.cluster.schedulableNodes < 2
}

deny contains sprintf("%s looks like a node of the control plane", [input.target.name]) if {
	input.target.kind == "Node"
	lib.matches_any(input.target.name, settings.protected_nodes)
}

deny contains sprintf("%s is a node of the control plane", [input.target.name]) if {
	input.target.kind == "Node"
	some label, _ in input.target.labels
	label in {"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}
}
