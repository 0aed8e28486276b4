#include "format/pack.h"

#include "format/mem.h"

#include "format/bytes.h"

#include <sodium.h>

#define MAGIC   "ZAKIPCK1"
#define PURPOSE "zakipack"
#define NONCE   crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG     crypto_aead_xchacha20poly1305_ietf_ABYTES
#define AAD_LEN (8 + KEYS_USER_LEN + PACK_ID_LEN)

#define ROWS_MAX ((PACK_BYTES_MAX - PACK_HEAD) / (CHUNK_OVERHEAD + PACK_INDEX_ROW))

int pack_new(struct pack **ret, struct err *e)
{
	OWN(pack) struct pack *p = mem_new(sizeof(*p));

	if (!p)
		return err_set(e, ERR_INTERNAL, "out of memory");
	p->bytes = mem_new(PACK_BYTES_MAX);
	p->index = mem_new((size_t)ROWS_MAX * PACK_INDEX_ROW);
	if (!p->bytes || !p->index)
		return err_set(e, ERR_INTERNAL, "out of memory");
	*ret = TAKE(p);
	return 0;
}

void pack_free(struct pack *p)
{
	if (!p)
		return;
	free(p->bytes);
	free(p->index);
	free(p);
}

void pack_begin(struct pack *p, const struct keys *k)
{
	randombytes_buf(p->id, sizeof(p->id));
	memcpy(p->bytes, MAGIC, 8);
	memcpy(p->bytes + 8, k->tag, 8);
	p->len = PACK_HEAD;
	p->index_len = 0;
}

bool pack_fits(const struct pack *p, size_t frame_len)
{
	return p->len + frame_len + p->index_len + PACK_INDEX_ROW + PACK_INDEX_ADD <=
	       PACK_BYTES_MAX;
}

uint32_t pack_add(struct pack *p, const struct chunk_frame *frame)
{
	uint32_t offset = (uint32_t)p->len;
	unsigned char *row = p->index + p->index_len;

	memcpy(p->bytes + p->len, frame->bytes, frame->len);
	p->len += frame->len;
	memcpy(row, frame->id, CHUNK_ID_LEN);
	bytes_put32(row + CHUNK_ID_LEN, (uint32_t)frame->len);
	bytes_put32(row + CHUNK_ID_LEN + 4, (uint32_t)frame->plain_len);
	p->index_len += PACK_INDEX_ROW;
	return offset;
}

static void bind(const struct keys *k, const unsigned char *id, unsigned char aad[AAD_LEN])
{
	memcpy(aad, PURPOSE, 8);
	memcpy(aad + 8, k->user_id, KEYS_USER_LEN);
	memcpy(aad + 8 + KEYS_USER_LEN, id, PACK_ID_LEN);
}

void pack_end(struct pack *p, const struct keys *k)
{
	unsigned char *nonce = p->bytes + p->len, aad[AAD_LEN];
	unsigned long long sealed = 0;

	bind(k, p->id, aad);
	randombytes_buf(nonce, NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + NONCE, &sealed, p->index, p->index_len,
	                                           aad, sizeof(aad), NULL, nonce, k->pack);
	p->len += NONCE + (size_t)sealed;
	bytes_put32(p->bytes + p->len, (uint32_t)(NONCE + sealed));
	p->len += 4;
}

size_t pack_index_len(const unsigned char last[4], long long size)
{
	size_t len = (size_t)bytes_get32(last) + 4;

	if (size > PACK_BYTES_MAX || len < PACK_INDEX_ADD + PACK_INDEX_ROW ||
	    (long long)len + PACK_HEAD > size || (len - PACK_INDEX_ADD) % PACK_INDEX_ROW != 0)
		return 0;
	return len;
}

struct pack_row pack_index_row(const struct pack_index *x, size_t i, uint32_t offset)
{
	const unsigned char *row = x->rows + i * PACK_INDEX_ROW;

	return (struct pack_row){ .id = row,
		                  .offset = offset,
		                  .len = bytes_get32(row + CHUNK_ID_LEN),
		                  .plain_len = bytes_get32(row + CHUNK_ID_LEN + 4) };
}

static bool rows_tile(const struct pack_index *x, long long frames_end)
{
	long long at = PACK_HEAD;

	for (size_t i = 0; i < x->count; i++) {
		struct pack_row row = pack_index_row(x, i, 0);

		if (row.len < CHUNK_OVERHEAD || row.len > CHUNK_FRAME_MAX ||
		    row.plain_len > CHUNK_MAX)
			return false;
		at += row.len;
	}
	return at == frames_end;
}

int pack_index_open(const struct keys *k, const struct pack_tail *tail, struct pack_index *ret,
                    struct err *e)
{
	struct pack_index x = { 0 };
	unsigned char aad[AAD_LEN];
	unsigned long long len = 0;

	if (tail->len < PACK_INDEX_ADD ||
	    pack_index_len(tail->bytes + tail->len - 4, tail->size) != tail->len)
		return err_set(e, ERR_UPSTREAM, "the pack's index has no possible length");
	x.rows = mem_new(tail->len);
	if (!x.rows)
		return err_set(e, ERR_INTERNAL, "out of memory");
	bind(k, tail->id, aad);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(x.rows, &len, NULL, tail->bytes + NONCE,
	                                               tail->len - 4 - NONCE, aad, sizeof(aad),
	                                               tail->bytes, k->pack) != 0) {
		pack_index_done(&x);
		return err_set(e, ERR_UPSTREAM, "the pack's index is damaged or another's");
	}
	x.count = (size_t)len / PACK_INDEX_ROW;
	if (!rows_tile(&x, tail->size - (long long)tail->len)) {
		pack_index_done(&x);
		return err_set(e, ERR_UPSTREAM, "the pack's index does not fit the pack");
	}
	*ret = x;
	return 0;
}

void pack_index_done(struct pack_index *x)
{
	free(TAKE(x->rows));
}

int pack_head_check(const struct keys *k, const unsigned char head[PACK_HEAD], struct err *e)
{
	if (memcmp(head, MAGIC, 8) != 0 || memcmp(head + 8, k->tag, 8) != 0)
		return err_set(e, ERR_UPSTREAM, "the pack's head is damaged or another key's");
	return 0;
}

void pack_id_text(const unsigned char id[PACK_ID_LEN], char ret[PACK_ID_SIZE])
{
	sodium_bin2hex(ret, PACK_ID_SIZE, id, PACK_ID_LEN);
}

bool pack_id_parse(const char *text, unsigned char ret[PACK_ID_LEN])
{
	size_t len = 0;

	return strlen(text) == PACK_ID_SIZE - 1 &&
	       strspn(text, "0123456789abcdef") == PACK_ID_SIZE - 1 &&
	       sodium_hex2bin(ret, PACK_ID_LEN, text, PACK_ID_SIZE - 1, NULL, &len, NULL) == 0 &&
	       len == PACK_ID_LEN;
}
