-- sts_policy_of --
-- The policy that was fetched for a domain, unless its time is over.
SELECT sealed, fetched_at FROM sts_policy WHERE domain_token = %(token)s AND until > %(now)s;

-- keep_sts_policy --
-- The newest policy of a domain; an older one that comes late does not replace it.
INSERT INTO sts_policy (domain_token, sealed, fetched_at, until)
VALUES (%(token)s, %(sealed)s, %(fetched_at)s, %(until)s)
ON CONFLICT (domain_token) DO UPDATE
   SET sealed = excluded.sealed, fetched_at = excluded.fetched_at, until = excluded.until
 WHERE sts_policy.fetched_at <= excluded.fetched_at;

-- forget_sts_policies --
-- Policies whose time is over.
DELETE FROM sts_policy WHERE until <= %(now)s;

-- add_tls_result --
-- Count, on top of what was counted for this day, domain and kind of result.
INSERT INTO tls_result (day, domain_token, result_token, sealed, successes, failures)
VALUES (%(day)s, %(domain_token)s, %(result_token)s, %(sealed)s, %(successes)s, %(failures)s)
ON CONFLICT (day, domain_token, result_token) DO UPDATE
   SET successes = tls_result.successes + excluded.successes, failures = tls_result.failures + excluded.failures;

-- tls_days_to_report --
-- Domains and days that are over and of which nobody has been told, the oldest first.
SELECT DISTINCT r.day, r.domain_token FROM tls_result AS r
 WHERE r.day < %(today)s AND NOT EXISTS (
       SELECT FROM tls_report_done AS d WHERE d.day = r.day AND d.domain_token = r.domain_token)
 ORDER BY 1, 2 LIMIT %(limit)s;

-- tls_results_of --
-- Everything that was counted for one domain on one day.
SELECT sealed, result_token, successes, failures FROM tls_result
 WHERE day = %(day)s AND domain_token = %(domain_token)s ORDER BY result_token;

-- claim_tls_report --
-- Say that this report is written; no row for whoever comes second.
INSERT INTO tls_report_done (day, domain_token, at) VALUES (%(day)s, %(domain_token)s, %(now)s)
ON CONFLICT DO NOTHING RETURNING day;

-- forget_tls_results --
-- Counts and notes of days long ago.
WITH gone AS (DELETE FROM tls_result WHERE day < %(before)s) DELETE FROM tls_report_done WHERE day < %(before)s;
