package kubernaut.library.hours_test

import data.kubernaut.library.hours

at(weekday, hour) := {
	"action": {"type": "kubernetes/delete_pod"},
	"target": {"name": "web"},
	"time": {"weekday": weekday, "hour": hour, "minute": 5},
}

test_from_nine_to_five_on_working_days if {
	count(hours.deny) == 0 with input as at("monday", 8)
	count(hours.deny) == 1 with input as at("monday", 9)
	count(hours.deny) == 1 with input as at("friday", 16)
	count(hours.deny) == 0 with input as at("friday", 17)
	count(hours.deny) == 0 with input as at("sunday", 12)
}

test_it_says_when_and_how_to_go_on if {
	some one in hours.deny with input as at("monday", 9)
	one.msg == "kubernetes/delete_pod is destructive, and it is monday 09:05"
	contains(one.mend, "kubernaut.ai/emergency-override=true")
}

test_an_override_of_target_or_workflow if {
	count(hours.deny) == 0 with input as at("monday", 9) with input.target.labels as {"kubernaut.ai/emergency-override": "true"}
	count(hours.deny) == 0 with input as at("monday", 9)
		with input.workflow as {"annotations": {"kubernaut.ai/emergency-override": "true"}}
}

test_a_dry_run_takes_nothing_away if count(hours.deny) == 0 with input as at("monday", 9) with input.action.dryRun as true

test_what_is_not_destructive_runs_at_any_time if {
	count(hours.deny) == 0 with input as at("monday", 9) with input.action.type as "kubernetes/restart_pod"
}
