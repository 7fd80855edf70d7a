# Who may do what to records, asked and searched in AuthZEN's terms.
#
# The question is in input.request.access: subject, action, resource and context, each with the properties that the asker
# sends. Whom and what there is to be found by a search is in data.json, under "authzen"; a search puts each of those to this
# same policy, with their properties from there.
#
# It looks at nothing but the question, so that it shows that alone. For devices that have earned it, add the conditions of
# the default policy: a device comes as the subject, or in context.vouchsafe beside a user.
package vouchsafe

decision := {"allow": allow, "reasons": explanation, "obligations": []}

access := input.request.access

default allow := false

# Whoever is known may read what is known.
allow if {
	is_known
	access.action.name == "read"
}

# Editors write what is not archived.
allow if {
	is_known
	access.action.name == "write"
	data.editors[access.subject.id] == true
	status != "archived"
}

# Administrators write also what is archived, and only that: their edits of the rest go through editors.
allow if {
	is_known
	access.action.name == "write"
	access.subject.properties.role == "admin"
	status == "archived"
}

# What an editor deletes can be brought back.
allow if {
	is_known
	access.action.name == "delete"
	data.editors[access.subject.id] == true
	access.action.properties.soft == true
}

# The subject and the resource are among those that there are.
is_known if {
	some subject in data.authzen.subjects
	subject.type == access.subject.type
	subject.id == access.subject.id
	some resource in data.authzen.resources
	resource.type == access.resource.type
	resource.id == access.resource.id
}

# What nobody says is archived is not.
status := object.get(access.resource.properties, "status", "active")

# ---- Reasons --------------------------------------------------------------------------------------------------------

explanation := [] if allow

explanation := [{
	"code": "access.not_asked",
	"message": "The question is not in AuthZEN's terms.",
	"fix": "Ask at /access/v1/evaluation.",
}] if {
	input.request.access == null
}

explanation := [{
	"code": "access.denied",
	"message": sprintf("%v may not %v %v.", [access.subject.id, access.action.name, input.request.resource]),
	"fix": "Ask an editor, or an administrator if it is archived.",
}] if {
	not allow
	input.request.access != null
}
