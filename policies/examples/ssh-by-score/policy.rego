# Who may log in to which host, by the trust score of the device that they sit at.
#
# The point that lets SSH sessions begin (a bastion, a PAM module, a certificate authority for SSH) asks with the action
# `connect`, or `root` for a shell of root's, and the resource `ssh:HOST`. It names the user, whom it has authenticated, and
# their device. While a session lasts it watches (/v1/watch): `needs` in the answer says when the score will be missed.
#
# data.json says, for hosts whose names begin with a text, which roles may log in, and the score that each action needs. The
# longest such text decides; an action that has no score is not for anybody.
package vouchsafe

decision := {"allow": allow, "reasons": explanation, "obligations": [], "needs": needs}

default allow := false

allow if {
	input.device.state == "active"
	score := input.device.score
	least := minimum_score
	is_number(score)
	is_number(least)
	score >= least
	has_role
}

default needs := {}

needs := {"score": minimum_score} if is_number(minimum_score)

matching := {prefix |
	some prefix, _ in data.hosts
	startswith(input.request.resource, prefix)
}

# The longest: of texts that all begin a name, the one that is last in their order.
host := data.hosts[max(matching)]

minimum_score := host.scores[input.request.action]

has_role if {
	some role in input.user.roles
	role in host.roles
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
	"fix": "Ask with device, user, action and resource.",
}]

reasons contains {
	"code": "device.not_active",
	"message": "The session does not come from a device that is enrolled, or that device is revoked.",
	"fix": "Use an enrolled device, or find out why it was revoked.",
} if {
	not is_active
}

is_active if input.device.state == "active"

reasons contains {
	"code": "device.score_too_low",
	"message": sprintf("The device's trust score is %v, and '%v' of %v needs %v.", [
		floor(input.device.score * 10) / 10,
		input.request.action,
		input.request.resource,
		minimum_score,
	]),
	"fix": "Let the device attest without fault until its score has grown.",
} if {
	is_number(input.device.score)
	input.device.score < minimum_score
}

reasons contains {
	"code": "user.unknown",
	"message": "The question does not say who logs in.",
	"fix": "Authenticate the user, and name them in the question.",
} if {
	input.user == null
}

reasons contains {
	"code": "user.role_missing",
	"message": sprintf("%v has none of the roles that may log in to %v: %v.", [
		input.user.id,
		input.request.resource,
		concat(", ", host.roles),
	]),
	"fix": "Have somebody with such a role do it, or be given one.",
} if {
	is_string(input.user.id)
	not has_role
}

reasons contains {
	"code": "request.action_not_listed",
	"message": sprintf("Nobody may '%v' %v.", [input.request.action, input.request.resource]),
	"fix": "If somebody is meant to, give the action a score under \"hosts\" in the data of the policy.",
} if {
	is_string(input.request.action)
	is_string(input.request.resource)
	not is_number(minimum_score)
}
