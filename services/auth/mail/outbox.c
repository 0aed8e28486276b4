#include "mail/outbox.h"

#include "audit.h"

static const char sql_add[] =
	"INSERT INTO mail_outbox (kind, email, user_id, detail, address, trace_id)"
	" VALUES ($1, $2, $3, $4, $5, $6)";

static const char sql_forget[] = "DELETE FROM mail_outbox WHERE user_id = $1"
				 " OR email = (SELECT email FROM users WHERE id = $1)";

int outbox_add(struct pg_conn *c, const struct bus_ctx *ctx, const struct outbox_mail *mail,
               struct err *e)
{
	struct client client;
	const char *params[] = { mail_rows[mail->id].name,
		                 mail->email,
		                 mail->user_id,
		                 mail->detail,
		                 NULL,
		                 ctx->trace_id };

	client_from(ctx, &client);
	params[4] = client.address;
	return pg_query(c, sql_add, params, COUNT(params), NULL, e);
}

int outbox_forget(struct pg_conn *c, const char *user_id, struct err *e)
{
	return pg_query(c, sql_forget, &user_id, 1, NULL, e);
}
