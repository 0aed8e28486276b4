/* Chunks' frames and packs' indexes as a store may give them: as they come, closed by us and then
 * turned at one place, and with contents that are sealed well but are nonsense. */

#include "format/pack.h"

#include <sodium.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keys keys;
static struct chunk_codec *codec;
static struct pack *pack;

static void start(void)
{
	struct err e = ERR_INIT;

	if (codec)
		return;
	if (sodium_init() < 0 || chunk_codec_new(&codec, &e) < 0 || pack_new(&pack, &e) < 0)
		abort();
	keys_derive("0123456789abcdef0123456789abcdef", "11111111-1111-4111-8111-111111111111",
	            &keys);
}

/* As it comes: nobody guesses one. */
static void as_it_comes(const uint8_t *data, size_t size)
{
	static unsigned char plain[CHUNK_MAX];
	unsigned char id[CHUNK_ID_LEN] = { 0 };
	struct chunk_frame frame = { id, data, size, size < CHUNK_MAX ? size : CHUNK_MAX };
	struct pack_tail tail = { id, data, size, (long long)size + PACK_HEAD };
	struct pack_index index = { 0 };
	struct err e = ERR_INIT;

	if (chunk_open(codec, &keys, &frame, plain, &e) == 0 ||
	    pack_index_open(&keys, &tail, &index, &e) == 0)
		abort();
}

static void turned(const uint8_t *data, size_t size)
{
	static unsigned char sealed[CHUNK_FRAME_MAX], plain[CHUNK_MAX];
	unsigned char id[CHUNK_ID_LEN];
	struct chunk_frame frame = { id, sealed, 0, size };
	struct err e = ERR_INIT;
	size_t at;

	if (size < 3 || size > CHUNK_MAX)
		return;
	chunk_id(&keys, data, size, id);
	frame.len = chunk_seal(codec, &keys, id, data, size, sealed);
	if (chunk_open(codec, &keys, &frame, plain, &e) < 0 || memcmp(plain, data, size) != 0)
		abort();
	at = ((size_t)data[0] << 8 | data[1]) % frame.len;
	sealed[at] ^= data[2];
	if (data[2] && chunk_open(codec, &keys, &frame, plain, &e) == 0)
		abort();
}

/* A well sealed index of any rows. */
static void any_rows(const uint8_t *data, size_t size)
{
	struct pack_index index = { 0 };
	struct err e = ERR_INIT;
	size_t len = size / PACK_INDEX_ROW * PACK_INDEX_ROW, tail;

	if (!len || len > 100 * PACK_INDEX_ROW)
		return;
	pack_begin(pack, &keys);
	memcpy(pack->index, data, len);
	pack->index_len = len;
	pack_end(pack, &keys);
	tail = pack_index_len(pack->bytes + pack->len - 4, (long long)pack->len);
	if (!tail)
		return;
	if (pack_index_open(&keys,
	                    &(struct pack_tail){ pack->id, pack->bytes + pack->len - tail, tail,
	                                         (long long)pack->len },
	                    &index, &e) == 0)
		abort(); /* it has no frames that the rows could tile */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;

	start();
	as_it_comes(data, size);
	turned(data, size);
	any_rows(data, size);
	while (at < size) {
		size_t len = chunker_cut(&keys, data + at, size - at);

		if (!len || len > CHUNK_MAX || len > size - at)
			abort();
		at += len;
	}
	return 0;
}
