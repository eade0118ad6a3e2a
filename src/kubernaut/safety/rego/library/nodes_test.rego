package kubernaut.library.nodes_test

import data.kubernaut.library.nodes

taking(type, name, labels, cluster) := {
	"action": {"type": type},
	"target": {"kind": "Node", "name": name, "labels": labels},
	"cluster": cluster,
}

drain(cluster) := taking("kubernetes/drain_node", "worker-1", {}, cluster)

cordon(cluster) := taking("kubernetes/cordon_node", "worker-1", {}, cluster)

test_no_drain_in_a_small_cluster if {
	count(nodes.deny) == 1 with input as drain({"nodes": 2, "schedulableNodes": 2})
	count(nodes.deny) == 0 with input as drain({"nodes": 3, "schedulableNodes": 3})
}

test_no_cordon_of_the_last_node if {
	count(nodes.deny) == 1 with input as cordon({"nodes": 3, "schedulableNodes": 1})
	count(nodes.deny) == 0 with input as cordon({"nodes": 3, "schedulableNodes": 2})
}

test_nothing_is_taken_away_in_the_dark if count(nodes.deny) == 2 with input as cordon({})

test_the_control_plane_is_left_alone if {
	enough := {"nodes": 9, "schedulableNodes": 9}
	every name in ["prod-master-0", "kind-control-plane"] {
		count(nodes.deny) == 1 with input as taking("kubernetes/taint_node", name, {}, enough)
	}
	label := {"node-role.kubernetes.io/control-plane": ""}
	count(nodes.deny) == 1 with input as taking("kubernetes/taint_node", "n1", label, enough)
	count(nodes.deny) == 0 with input as taking("kubernetes/taint_node", "n1", {}, enough)
}
