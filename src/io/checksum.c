/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums of a model file: one walk over its bytes, which the writer follows with a pen and the
 * reader with a finger. */
#include "io/checksum.h"

#include "base/error.h"
#include "base/sha256.h"

enum { DIGITS = SQZI_SHA256_HEX - 1 };

typedef struct checksums {
    const sqzi_file_map *map;
    const sqzi_gguf *gguf;
    const sqzi_gguf_value *header, *tensors, *through; /* NULL: the file has none */
} checksums;

/* What was computed, and where the file says what it should be. tensor: of those through a tensor.
 */
typedef sqz_status visit(void *user, const char *digest, sqzi_span said,
                         const sqzi_gguf_tensor *tensor, sqz_error *error);

static sqz_status find_digests(const sqzi_gguf *gguf, const char *key, bool array, uint64_t n,
                               const sqzi_gguf_value **out, sqz_error *error)
{
    const sqzi_gguf_value *value = sqzi_gguf_find(gguf, key);
    bool fits = value && value->type == SQZI_GGUF_STRING && value->is_array == array &&
                value->n == n;
    const unsigned char *at = fits ? value->data : NULL;
    for (uint64_t i = 0; fits && i < n; i++) fits = sqzi_gguf_next_string(&at).n == DIGITS;
    if (!fits)
        return sqzi_fail(error, SQZ_EFORMAT, value ? value->offset : 0,
                         "the checksum '%s' is missing or is none: the file is damaged, or was "
                         "changed by a program that does not know it; copy or import it again",
                         key);
    *out = value;
    return SQZ_OK;
}

/* All of them or none. */
static sqz_status find(const sqzi_file_map *map, const sqzi_gguf *gguf, checksums *c,
                       sqz_error *error)
{
    sqz_status status = SQZ_OK;
    *c = (checksums){.map = map, .gguf = gguf};
    if (!sqzi_gguf_find(gguf, SQZI_CHECKSUM_HEADER) &&
        !sqzi_gguf_find(gguf, SQZI_CHECKSUM_TENSORS) &&
        !sqzi_gguf_find(gguf, SQZI_CHECKSUM_THROUGH))
        return SQZ_OK;
    TRY(find_digests(gguf, SQZI_CHECKSUM_HEADER, false, 1, &c->header, error));
    TRY(find_digests(gguf, SQZI_CHECKSUM_TENSORS, false, 1, &c->tensors, error));
    TRY(find_digests(gguf, SQZI_CHECKSUM_THROUGH, true, sqzi_gguf_n_tensors(gguf), &c->through,
                     error));
fail:
    return status;
}

static size_t data_begin(const checksums *c)
{
    const uint64_t begin = sqzi_gguf_data_begin(c->gguf);
    return begin < c->map->bytes ? (size_t)begin : c->map->bytes;
}

/* Everything before the data, but the digits of the checksums. */
static void hash_header(const checksums *c, char digest[SQZI_SHA256_HEX])
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    sqzi_sha256 hash;
    size_t done = 0;
    sqzi_sha256_init(&hash);
    for (uint32_t i = 0; i < sqzi_gguf_n_values(c->gguf); i++) {
        const sqzi_gguf_value *value = sqzi_gguf_value_at(c->gguf, i);
        if (value != c->header && value != c->tensors && value != c->through) continue;
        const unsigned char *at = value->data;
        for (uint64_t k = 0; k < value->n; k++) {
            const char *digits = sqzi_gguf_next_string(&at).bytes;
            const size_t begin = (size_t)((const unsigned char *)digits - c->map->data);
            sqzi_sha256_update(&hash, c->map->data + done, begin - done);
            sqzi_sha256_update(&hash, zeros, DIGITS);
            done = begin + DIGITS;
        }
    }
    sqzi_sha256_update(&hash, c->map->data + done, data_begin(c) - done);
    sqzi_sha256_final(&hash, digest);
}

enum { PIECE = 16 << 20 }; /* of a tensor that is in memory while it is hashed */

static sqz_status walk(const checksums *c, visit *see, void *user, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    char digest[SQZI_SHA256_HEX];
    sqzi_sha256 hash;
    const unsigned char *header = c->header->data, *tensors = c->tensors->data,
                        *through = c->through->data;
    const uint32_t n = sqzi_gguf_n_tensors(c->gguf);
    hash_header(c, digest);
    TRY(see(user, digest, sqzi_gguf_next_string(&header), NULL, error));
    sqzi_sha256_init(&hash);
    size_t done = data_begin(c);
    for (uint32_t i = 0; i < n; i++) {
        const size_t end = i + 1 < n ? (size_t)sqzi_gguf_tensor_at(c->gguf, i + 1)->offset
                                     : c->map->bytes;
        for (size_t piece; done < end; done += piece) {
            piece = end - done < PIECE ? end - done : PIECE;
            sqzi_sha256_update(&hash, c->map->data + done, piece);
            sqzi_file_map_drop(c->map, done, piece);
        }
        sqzi_sha256_final(&hash, digest);
        TRY(see(user, digest, sqzi_gguf_next_string(&through), sqzi_gguf_tensor_at(c->gguf, i),
                error));
    }
    sqzi_sha256_update(&hash, c->map->data + done, c->map->bytes - done);
    sqzi_sha256_final(&hash, digest);
    TRY(see(user, digest, sqzi_gguf_next_string(&tensors), NULL, error));
fail:
    return status;
}

static sqz_status compare(void *user, const char *digest, sqzi_span said,
                          const sqzi_gguf_tensor *tensor, sqz_error *error)
{
    const checksums *c = user;
    static const char advice[] = "the file is damaged or was changed after it was written; copy or "
                                 "import it again";
    const char *const bytes = said.bytes;
    if (sqzi_span_is(said, digest)) return SQZ_OK;
    if (tensor)
        return sqzi_fail(
            error, SQZ_EFORMAT, tensor->offset,
            "tensor '%.*s' (bytes %llu to %llu) is not what its SHA-256 says, %.12s... "
            "instead of %.12s...: %s",
            (int)tensor->name.n, tensor->name.bytes, (unsigned long long)tensor->offset,
            (unsigned long long)(tensor->offset + tensor->bytes), digest, bytes, advice);
    const bool header = (const unsigned char *)bytes == c->header->data + 8;
    return sqzi_fail(error, SQZ_EFORMAT, 0,
                     "%s not what the SHA-256 says, %.12s... instead of %.12s...: %s",
                     header ? "metadata or the list of tensors are" : "the data of the tensors are",
                     digest, bytes, advice);
}

sqz_status sqzi_checksum_check(const sqzi_file_map *map, const sqzi_gguf *gguf, bool *there,
                               sqz_error *error)
{
    checksums c;
    const sqz_status status = find(map, gguf, &c, error);
    *there = status == SQZ_OK && c.header;
    return *there ? walk(&c, compare, &c, error) : status;
}

typedef struct pen {
    const sqzi_file_map *map;
    sqzi_file_writer *file;
} pen;

static sqz_status put(void *user, const char *digest, sqzi_span said,
                      const sqzi_gguf_tensor *tensor, sqz_error *error)
{
    const pen *p = user;
    (void)tensor;
    return sqzi_file_writer_put_at(p->file,
                                   (uint64_t)((const unsigned char *)said.bytes - p->map->data),
                                   digest, DIGITS, error);
}

sqz_status sqzi_checksum_put(const sqz_allocator *allocator, sqzi_file_writer *file,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_file_map map = {NULL, 0};
    sqzi_gguf *gguf = NULL;
    checksums c;
    TRY(sqzi_file_writer_flush(file, error));
    TRY(sqzi_file_map_open(file->temporary, &map, error));
    TRY(sqzi_gguf_open(allocator, file->path, map.data, map.bytes, &gguf, error));
    TRY(find(&map, gguf, &c, error));
    TRY(walk(&c, put, &(pen){&map, file}, error));
fail:
    sqzi_gguf_close(gguf);
    sqzi_file_map_close(&map);
    return status;
}
