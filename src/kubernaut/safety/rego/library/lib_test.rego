package kubernaut.lib_test

import data.kubernaut.lib

named(namespace) := {"target": {"namespace": namespace}}

test_the_environment_by_the_namespace_s_name if {
	every name in ["production", "prod", "prod-eu", "shop-prod"] { lib.environment == "production" with input as named(name) }
	every name in ["staging", "stage"] { lib.environment == "staging" with input as named(name) }
	every name in ["dev", "development"] { lib.environment == "development" with input as named(name) }
}

test_a_label_says_more_than_a_name if {
	lib.environment == "staging" with input as named("prod") with input.target.namespaceLabels as {"kubernaut.ai/environment": "staging"}
}

test_else_it_is_the_cluster_s if {
	lib.environment == "production" with input as {"target": {"namespace": "shop"}, "cluster": {"environment": "production"}}
	lib.environment == "unknown" with input as named("shop")
	lib.environment == "unknown" with input as {}
}

test_replicas_are_a_number if {
	lib.replicas == 3 with input as {"action": {"inputs": {"replicas": 3}}}
	not lib.replicas with input as {"action": {"inputs": {"replicas": "3"}}}
}
