-- Who administers an organisation, by number: mail to its postmaster goes to one of them (RFC 5321 §4.5.1).
-- Names, addresses and the state of people stay out of sight of the role that faces port 25.
GRANT SELECT (organisation_id, person_id, role) ON role_grant TO carepost_relay;
GRANT SELECT (person_id) ON mailbox TO carepost_relay;
