package kubernaut.library.staging_test

import data.kubernaut.library.staging

scale(replicas) := {"action": {"type": "kubernetes/scale_deployment", "inputs": {"replicas": replicas}}, "target": {"namespace": "staging-2"}}

test_fifty_replicas_and_no_more if {
	count(staging.deny) == 0 with input as scale(50)
	count(staging.deny) == 1 with input as scale(51)
}

test_destructive_is_worth_a_word if {
	count(staging.warn) == 1 with input as {"action": {"type": "kubernetes/delete_pod"}, "target": {"namespace": "staging"}}
	count(staging.warn) == 0 with input as {"action": {"type": "kubernetes/delete_pod"}, "target": {"namespace": "x"}}
}
