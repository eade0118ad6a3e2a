package kubernaut.library.limits_test

import data.kubernaut.library.limits

scale(replicas, labels) := {
	"action": {"type": "kubernetes/scale_deployment", "inputs": {"replicas": replicas}},
	"target": {"name": "web", "labels": labels},
}

test_110_replicas_and_no_more if {
	count(limits.deny) == 0 with input as scale(110, {})
	count(limits.deny) == 1 with input as scale(111, {})
	count(limits.deny) == 1 with input as scale(-1, {})
}

test_critical_is_never_scaled_to_nothing if {
	count(limits.deny) == 1 with input as scale(0, {"critical": "true"})
	count(limits.deny) == 1 with input as scale(0, {"kubernaut.ai/critical": "true"})
	count(limits.deny) == 0 with input as scale(0, {})
	count(limits.deny) == 0 with input as scale(0, {"critical": "false"})
}

test_large_configuration_is_not_written if {
	count(limits.deny) == 1 with input as {"action": {"type": "kubernetes/update_configmap", "inputsSize": 70000}}
	count(limits.deny) == 0 with input as {"action": {"type": "kubernetes/update_configmap", "inputsSize": 60000}}
	count(limits.deny) == 1 with input as {"action": {"type": "kubernetes/update_secret", "inputs": {"a": "12345"}}}
		with data.kubernaut.settings.limits.max_inputs_bytes as 10
}
