# Who may do what to which database: by role, and by the network that the request comes from.
#
# A role counts where it is used: that of a database administrator is worth nothing outside the room of the administrators.
# data.json lists, for each role, what it may do to which databases, and the networks in which it counts. An address that is
# not known lies in none.
package vouchsafe

decision := {"allow": allow, "reasons": explanation, "obligations": [], "needs": {"score": data.minimum_score}}

default allow := false

allow if {
	input.device.state == "active"
	score := input.device.score
	is_number(score)
	score >= data.minimum_score
	input.network.encrypted == true

	# One role has to do both: to permit the action, and to count here.
	some role in input.user.roles
	permits(role)
	counts_here(role)
}

permits(role) if input.request.action in data.roles[role].databases[input.request.resource]

counts_here(role) if {
	some network in data.roles[role].networks
	net.cidr_contains(network, input.network.source_ip)
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
	"fix": "Ask with device, user, network, action and resource.",
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
	"message": sprintf("The device's trust score is %v, and databases need %v.", [
		floor(input.device.score * 10) / 10,
		data.minimum_score,
	]),
	"fix": "Let the device attest without fault until its score has grown.",
} if {
	is_number(input.device.score)
	input.device.score < data.minimum_score
}

reasons contains {
	"code": "network.not_encrypted",
	"message": "The flow to the database is not known to be encrypted.",
	"fix": "Connect to the database by TLS.",
} if {
	not is_encrypted
}

is_encrypted if input.network.encrypted == true

reasons contains {
	"code": "user.unknown",
	"message": "The question does not say who asks.",
	"fix": "Authenticate the user, and name them with their roles.",
} if {
	input.user == null
}

# The roles of the user that would do, were they used in the right place.
permitting := {role |
	some role in input.user.roles
	permits(role)
}

reasons contains {
	"code": "user.role_missing",
	"message": sprintf("No role of %v may %v %v.", [input.user.id, input.request.action, input.request.resource]),
	"fix": "Have somebody do it whose role may, or list it under \"roles\" in the data of the policy.",
} if {
	is_string(input.user.id)
	count(permitting) == 0
}

reasons contains {
	"code": "network.role_does_not_count_here",
	"message": sprintf("The role that may %v %v does not count at %v.", [
		input.request.action,
		input.request.resource,
		place,
	]),
	"fix": sprintf("Ask from one of these networks: %v.", [concat(", ", sort(networks))]),
} if {
	count(permitting) > 0
	count([role | some role in permitting; counts_here(role)]) == 0
}

default place := "an address that is not known"

place := input.network.source_ip if is_string(input.network.source_ip)

networks := {network |
	some role in permitting
	some network in data.roles[role].networks
}
