# METADATA
# title: Change freeze
package kubernaut.freeze

deny contains {"msg": "nothing changes in the week of the sale", "mend": "Ask the people on call."} if {
	input.time.date >= data.kubernaut.settings.freeze.from
	input.time.date <= data.kubernaut.settings.freeze.to
	not "sre" in object.get(input, ["requester", "groups"], [])
}
