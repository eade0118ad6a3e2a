package kubernaut.library.development_test

import data.kubernaut.library.development

test_destructive_is_worth_a_word if {
	count(development.warn) == 1 with input as {"action": {"type": "kubernetes/delete_pod"}, "target": {"namespace": "dev-1"}}
	count(development.warn) == 0 with input as {"action": {"type": "kubernetes/restart_pod"}, "target": {"namespace": "dev-1"}}
}
