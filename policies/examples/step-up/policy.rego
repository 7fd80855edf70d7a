# An allow under a condition: where the device is trusted well enough but not well, or the user authenticated long ago, the
# enforcement point has the user prove themselves once more.
#
#   the score is below `least`                  deny
#   ... below `comfortable`                     allow, if the user has shown a key, or shows it now
#   ... or the authentication is too old        allow, if the user authenticates once more
#   all is well                                 allow
#
# The condition is the obligation `step_up`. A point that does not say that it understands it is denied, so that nobody is
# let pass without; one that does has the user show the `factor`, no longer ago than `max_age_secs`, before the request passes.
package vouchsafe

decision := {"allow": allow, "reasons": explanation, "obligations": obligations, "needs": {"score": data.scores.least}}

default allow := false

allow if {
	input.device.state == "active"
	score := input.device.score
	is_number(score)
	score >= data.scores.least
	is_string(input.user.id)
}

# There is no obligation only where each condition for that holds: what is not known asks for the step.
obligations := [] if {
	is_recent
	is_comfortable
} else := [] if {
	is_recent
	data.step_up.factor in input.user.factors
} else := [{
	"code": "step_up",
	"parameters": data.step_up,
	"message": "The user has to prove themselves once more.",
}]

is_comfortable if {
	is_number(input.device.score)
	input.device.score >= data.scores.comfortable
}

# The clock of the point may be ahead of ours, by a minute.
is_recent if {
	age_secs := (time.parse_rfc3339_ns(input.now) - time.parse_rfc3339_ns(input.user.authenticated_at)) / 1000000000
	age_secs >= -60
	age_secs <= data.maximum_authentication_age_secs
}

# ---- Reasons --------------------------------------------------------------------------------------------------------

explanation := [] if {
	allow
} else := sort(found) if {
	found := reasons
	count(found) > 0
} else := [{
	"code": "input.incomplete",
	"message": "The question lacks something that the policy needs, and no other reason says what.",
	"fix": "Ask with device and user.",
}]

reasons contains {
	"code": "device.not_active",
	"message": "The request does not come from a device that is enrolled, or that device is revoked.",
	"fix": "Use an enrolled device, or find out why it was revoked.",
} if {
	not is_active
}

is_active if input.device.state == "active"

reasons contains {
	"code": "device.score_too_low",
	"message": sprintf("The device's trust score is %v, and no proof of the user's makes up for less than %v.", [
		floor(input.device.score * 10) / 10,
		data.scores.least,
	]),
	"fix": "Let the device attest without fault until its score has grown.",
} if {
	is_number(input.device.score)
	input.device.score < data.scores.least
}

reasons contains {
	"code": "user.unknown",
	"message": "The question does not say who asks.",
	"fix": "Authenticate the user, and name them in the question.",
} if {
	input.user == null
}
