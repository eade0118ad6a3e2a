# METADATA
# title: Working hours
# description: What is destructive waits until people have gone home, or until somebody overrides that.
package kubernaut.library.hours

import data.kubernaut.lib
import data.kubernaut.settings

deny contains {
	"msg": sprintf("%s is destructive, and it is %s %02d:%02d", [input.action.type, input.time.weekday, input.time.hour, input.time.minute]),
	"mend": "Label the target kubernaut.ai/emergency-override=true, or wait.",
} if {
	lib.destructive
	input.time.weekday in settings.hours.weekdays
	input.time.hour >= settings.hours.from
	input.time.hour < settings.hours.to
	not lib.overridden
	not lib.dry_run
}
