package kubernaut.library.clusters_test

import data.kubernaut.library.clusters

drain(cluster) := {"action": {"type": "kubernetes/drain_node"}, "cluster": cluster}

test_one_destructive_action_at_a_time if {
	count(clusters.deny) == 1 with input as drain({"running": [{"action": "kubernetes/delete_pod"}]})
	count(clusters.deny) == 0 with input as drain({"running": [{"action": "kubernetes/restart_pod"}]})
}

test_one_cluster_draining_at_a_time if {
	count(clusters.deny) == 1 with input as drain({"name": "a", "drainingElsewhere": ["b"]})
	count(clusters.deny) == 0 with input as drain({"name": "a", "drainingElsewhere": ["a"]})
	count(clusters.deny) == 1 with input as drain({"drainingElsewhere": ["b"]})
}

test_not_too_much_at_once if {
	many := [{"action": "kubernetes/restart_pod"} | some _ in numbers.range(1, 50)]
	count(clusters.deny) == 1 with input as drain({"running": many})
	count(clusters.deny) == 0 with input as drain({"running": array.slice(many, 0, 49)})
}
