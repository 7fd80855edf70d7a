# Which service of a mesh may call which: by the SPIFFE IDs of both ends, the method and the beginning of the path.
#
# The Envoy beside a service asks about what leaves it. It names that service (context_extensions: application: spiffe://...),
# and an operator registers it for that (forwards = ["application", "device", "http"]). The host of the request leads to the
# service that is called; data.json says its SPIFFE ID, for which the same Envoy verifies the other end, and who may call it.
#
# The device is the node that the caller runs on: no service of a node that lost its trust is heard.
package vouchsafe

decision := {"allow": allow, "reasons": explanation, "obligations": [], "needs": {"score": data.minimum_score}}

default allow := false

allow if {
	# The node is enrolled, and has earned the trust that the mesh needs ...
	input.device.state == "active"
	score := input.device.score
	is_number(score)
	score >= data.minimum_score

	# ... both ends of the flow know each other ...
	input.network.authenticated == true
	input.network.encrypted == true

	# ... and the caller is listed at the service that it calls, for this.
	some route in routes
	input.request.http.method in route.methods
	is_below(input.request.http.path, route.path_prefix)
}

service := data.services[input.request.http.host]

routes := service.callers[input.application.id]

# A path is below a prefix when it is that or goes on with a further step: /v1/orders-old is not below /v1/orders.
is_below(path, prefix) if path == prefix

is_below(path, prefix) if startswith(path, concat("", [prefix, "/"]))

# ---- Reasons --------------------------------------------------------------------------------------------------------

explanation := [] if {
	allow
} else := sort(found) if {
	found := reasons
	count(found) > 0
} else := [{
	"code": "input.incomplete",
	"message": "The question lacks something that the policy needs, and no other reason says what.",
	"fix": "Ask through Envoy, with the client's certificate (include_peer_certificate: true).",
}]

reasons contains {
	"code": "device.not_active",
	"message": "The node that the caller runs on is not enrolled, or is revoked.",
	"fix": "Enrol the node (vouchsafe-agent enrol), or find out why it was revoked.",
} if {
	not is_active
}

is_active if input.device.state == "active"

reasons contains {
	"code": "device.score_too_low",
	"message": sprintf("The trust score of the node is %v, and the mesh needs %v.", [
		floor(input.device.score * 10) / 10,
		data.minimum_score,
	]),
	"fix": "Let the node attest without fault until its score has grown.",
} if {
	is_number(input.device.score)
	input.device.score < data.minimum_score
}

reasons contains {
	"code": "network.not_protected",
	"message": "The flow is not known to be mutual TLS.",
	"fix": "Have both ends show certificates (require_client_certificate: true).",
} if {
	not is_protected
}

is_protected if {
	input.network.authenticated == true
	input.network.encrypted == true
}

reasons contains {
	"code": "application.unknown",
	"message": "The question does not name the service that calls.",
	"fix": "Name it where Envoy asks (context_extensions: application), and register the point for it.",
} if {
	input.application == null
}

reasons contains {
	"code": "service.unknown",
	"message": sprintf("No service of the mesh is reached as '%v'.", [input.request.http.host]),
	"fix": "List it under \"services\" in the data of the policy.",
} if {
	is_string(input.request.http.host)
	not service
}

reasons contains {
	"code": "service.not_a_caller",
	"message": sprintf("%v is no caller of %v.", [input.application.id, service.identity]),
	"fix": "If it is meant to be, list it under \"callers\" of that service.",
} if {
	is_string(input.application.id)
	service
	not routes
}

reasons contains {
	"code": "service.route_not_listed",
	"message": sprintf("%v may not %v %v of %v.", [
		input.application.id,
		input.request.http.method,
		input.request.http.path,
		service.identity,
	]),
	"fix": "If it is meant to, list method and path under the caller.",
} if {
	routes
	not route_is_listed
}

route_is_listed if {
	some route in routes
	input.request.http.method in route.methods
	is_below(input.request.http.path, route.path_prefix)
}
