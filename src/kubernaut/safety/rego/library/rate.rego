# METADATA
# title: Rate and collisions
# description: One target is not changed again and again, nor by two at once, nor after it failed several times.
package kubernaut.library.rate

import data.kubernaut.settings

deny contains sprintf("it was changed %d times within an hour: at most %d are allowed", [input.history.lastHour, most]) if {
	most := settings.rate.max_per_hour
	input.history.lastHour >= most
}

deny contains sprintf("%s changes it at this moment", [concat(", ", input.target.running)]) if count(input.target.running) > 0

deny contains sprintf("%s is used up: %d of %d", [input.budget.name, input.budget.used, input.budget.most]) if {
	input.budget.used >= input.budget.most
}

require_approval contains sprintf("the last %d actions on it failed", [failures]) if {
	failures := input.history.failuresInARow
	failures >= settings.rate.failures_in_a_row
}
