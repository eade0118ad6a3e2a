package kubernaut.library.allowlist_test

import data.kubernaut.library.allowlist

test_a_shipped_action_is_allowed if {
	allowlist.allow with input as {"action": {"type": "kubernetes/restart_pod"}}
	count(allowlist.deny) == 0 with input as {"action": {"type": "kubernetes/restart_pod"}}
}

test_another_action_is_denied if {
	count(allowlist.deny) == 1 with input as {"action": {"type": "git/revert_commit"}}
	not allowlist.allow with input as {"action": {"type": "git/revert_commit"}}
}

test_a_longer_name_does_not_slip_through if not allowlist.allow with input as {"action": {"type": "kubernetes/x/y"}}

test_the_list_can_be_shortened if {
	not allowlist.allow with input as {"action": {"type": "kubernetes/restart_pod"}}
		with data.kubernaut.settings.allowed_actions as ["kubernetes/scale_deployment"]
}

test_an_action_without_a_type_is_not_allowed if not allowlist.allow with input as {}
