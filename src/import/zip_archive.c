/* SPDX-License-Identifier: Apache-2.0 */
#include "import/zip_archive.h"

#include <inttypes.h>
#include <zlib.h>

#include "base/error.h"

/* deflate packs 258 bytes in 2 bits at best */
enum {
    END_BYTES = 22,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    STORED = 0,
    DEFLATED = 8,
    MOST_RATIO = 1032
};

static uint64_t little(const unsigned char *b, int n)
{
    uint64_t value = 0;
    for (int i = n; i-- > 0;) value = value << 8 | b[i];
    return value;
}

bool sqzi_is_zip(const unsigned char *data, size_t bytes)
{
    return bytes >= 4 && memcmp(data, "PK\003\004", 4) == 0;
}

/* The end record: within the last 64 KiB and 22 bytes. */
static const unsigned char *find_end(const unsigned char *data, size_t bytes)
{
    for (size_t back = END_BYTES; back <= bytes && back <= END_BYTES + 65535; back++)
        if (memcmp(data + bytes - back, "PK\005\006", 4) == 0) return data + bytes - back;
    return NULL;
}

static sqz_status read_entry(const char *file, const unsigned char *data, size_t all,
                             const unsigned char *entry, sqzi_zip_member *member, sqz_error *error)
{
    const uint64_t name_n = little(entry + 28, 2), method = little(entry + 10, 2),
                   packed = little(entry + 20, 4), size = little(entry + 24, 4),
                   local = little(entry + 42, 4);
    *member = (sqzi_zip_member){.name = {(const char *)entry + ENTRY_BYTES, (size_t)name_n},
                                .deflated = method == DEFLATED,
                                .packed_bytes = (size_t)packed,
                                .bytes = (size_t)size,
                                .crc = (uint32_t)little(entry + 16, 4)};
    const int shown = (int)(name_n > 80 ? 80 : name_n);
    if (size == UINT32_MAX || packed == UINT32_MAX || local == UINT32_MAX)
        return sqzi_fail(error, SQZ_EUNSUPPORTED, 0, "%s: a member of 4 GiB or more", file);
    if ((method != STORED && method != DEFLATED) || little(entry + 8, 2) & 1)
        return sqzi_fail(error, SQZ_EUNSUPPORTED, 0,
                         "%s: the member '%.*s' is encrypted or packed in a way (%u) other than "
                         "stored and deflate",
                         file, shown, member->name.bytes, (unsigned)method);
    if (method == STORED ? packed != size : size > packed * MOST_RATIO)
        return sqzi_fail(error, SQZ_EFORMAT, 0,
                         "%s: the member '%.*s' claims %" PRIu64 " bytes in %" PRIu64, file, shown,
                         member->name.bytes, size, packed);
    if (local > all || all - local < LOCAL_BYTES || memcmp(data + local, "PK\003\004", 4) != 0)
        return sqzi_fail(error, SQZ_EFORMAT, local,
                         "%s: a member does not begin where the list says", file);
    const uint64_t begin = local + LOCAL_BYTES + little(data + local + 26, 2) +
                           little(data + local + 28, 2);
    if (begin > all || packed > all - begin)
        return sqzi_fail(error, SQZ_EFORMAT, local, "%s: a member ends behind the file", file);
    member->data = data + begin;
    return SQZ_OK;
}

sqz_status sqzi_zip_read(const char *file, const unsigned char *data, size_t bytes,
                         sqzi_zip_take *take, void *user, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const unsigned char *end = find_end(data, bytes);
    FAIL_IF(!end, SQZ_EFORMAT, bytes, "%s: a zip file without its list of members: cut short?",
            file);
    const uint64_t n = little(end + 10, 2), stop = (uint64_t)(end - data);
    uint64_t at = little(end + 16, 4);
    for (uint64_t i = 0; i < n; i++) {
        sqzi_zip_member member;
        FAIL_IF(at > stop || stop - at < ENTRY_BYTES || memcmp(data + at, "PK\001\002", 4) != 0,
                SQZ_EFORMAT, at, "%s: member %" PRIu64 " of the list is damaged", file, i);
        const uint64_t length = ENTRY_BYTES + little(data + at + 28, 2) +
                                little(data + at + 30, 2) + little(data + at + 32, 2);
        FAIL_IF(length > stop - at, SQZ_EFORMAT, at,
                "%s: member %" PRIu64 " of the list is damaged", file, i);
        TRY(read_entry(file, data, bytes, data + at, &member, error));
        TRY(take(user, &member, error));
        at += length;
    }
fail:
    return status;
}

/* A member has less than 4 GiB, which zlib's counters hold. */
static bool unpack(const sqzi_zip_member *member, unsigned char *out)
{
    z_stream stream = {0};
    stream.next_in = (unsigned char *)(uintptr_t)member->data;
    stream.avail_in = (uInt)member->packed_bytes;
    stream.next_out = out;
    stream.avail_out = (uInt)member->bytes;
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
    const int ended = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return ended == Z_STREAM_END && stream.total_out == member->bytes;
}

sqz_status sqzi_zip_unpack(const char *file, const sqzi_zip_member *member, unsigned char *out,
                           sqz_error *error)
{
    bool whole = true;
    if (member->deflated) whole = unpack(member, out);
    else if (member->bytes) memcpy(out, member->data, member->bytes);
    if (whole && crc32(crc32(0, NULL, 0), out, (uInt)member->bytes) == member->crc) return SQZ_OK;
    return sqzi_fail(error, SQZ_EFORMAT, 0,
                     "%s: the member '%.*s' is damaged: its bytes do not give its sum", file,
                     (int)(member->name.n > 80 ? 80 : member->name.n), member->name.bytes);
}
