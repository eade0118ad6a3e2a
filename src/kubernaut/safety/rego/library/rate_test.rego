package kubernaut.library.rate_test

import data.kubernaut.library.rate

test_not_again_and_again if {
	count(rate.deny) == 0 with input as {"history": {"lastHour": 9}}
	count(rate.deny) == 1 with input as {"history": {"lastHour": 10}}
}

test_not_two_at_once if {
	count(rate.deny) == 1 with input as {"target": {"running": ["wfe/other"]}}
	count(rate.deny) == 0 with input as {"target": {"running": []}}
}

test_not_beyond_the_budget if {
	count(rate.deny) == 1 with input as {"budget": {"name": "b", "used": 5, "most": 5}}
	count(rate.deny) == 0 with input as {"budget": {"name": "b", "used": 4, "most": 5}}
}

test_after_failures_a_person_looks if {
	count(rate.require_approval) == 1 with input as {"history": {"failuresInARow": 3}}
	count(rate.require_approval) == 0 with input as {"history": {"failuresInARow": 2}}
}
