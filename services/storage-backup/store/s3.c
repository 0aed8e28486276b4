#include "store/storage_internal.h"
int s3_open(const struct storage_opt *opt, struct storage *ret, struct err *e)
{
	(void)opt;
	(void)ret;
	return err_field(e, "STORAGE_URL", "must be file:///DIRECTORY");
}
