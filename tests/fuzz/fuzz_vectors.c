/* SPDX-License-Identifier: Apache-2.0 */
/* A .npz file of vectors from a stranger, against a model whose head reads sequences and one whose
 * head reads tokens. Seven files of eight get the sums that zip keeps of its members mended, or
 * nothing behind them would ever be read. */
#include <math.h>
#include <squeezebert/vectors.h>
#include <string.h>
#include <zlib.h>

#include "fuzz/fuzz.h"
#include "support/tiny_model.h"

static const sqzt_token tokens[] = {
    SQZT_TOKEN("'descr': '<f4'"),
    SQZT_TOKEN("'<f8'"),
    SQZT_TOKEN("'<i8'"),
    SQZT_TOKEN("'<u4'"),
    SQZT_TOKEN("'|u1'"),
    SQZT_TOKEN("'>f4'"),
    SQZT_TOKEN("'fortran_order': True"),
    SQZT_TOKEN("'shape': ("),
    SQZT_TOKEN("()"),
    SQZT_TOKEN("(2,)"),
    SQZT_TOKEN("(2, 3)"),
    SQZT_TOKEN("(1, 1, 1, 1, 1)"),
    SQZT_TOKEN("(18446744073709551615,)"),
    SQZT_TOKEN("(4294967296, 4294967296)"),
    SQZT_TOKEN("0"),
    SQZT_TOKEN("'"),
    SQZT_TOKEN(", }"),
    SQZT_TOKEN("{"),
    SQZT_TOKEN("\x93NUMPY\1"),
    SQZT_TOKEN("\x93NUMPY\3"),
    SQZT_TOKEN("ids.npy"),
    SQZT_TOKEN("lengths.npy"),
    SQZT_TOKEN("types.npy"),
    SQZT_TOKEN("hidden.npy"),
    SQZT_TOKEN("logits.npy"),
    SQZT_TOKEN("\0\0\xc0\x7f"),
    SQZT_TOKEN("\xff\xff\xff\xff"),
    SQZT_TOKEN("PK\1\2"),
    SQZT_TOKEN("PK\3\4"),
    SQZT_TOKEN("PK\5\6"),
};

/* bytes of zip's records; and about as many of a member are its name and numpy's header */
enum { LOCAL = 30, ENTRY = 46, END = 22, HEADER = 200 };

static uint64_t little(const uint8_t *b, int n)
{
    uint64_t value = 0;
    for (int i = n; i-- > 0;) value = value << 8 | b[i];
    return value;
}

static void add_to(uint8_t *b, int n, uint64_t delta)
{
    const uint64_t value = little(b, n) + delta;
    for (int i = 0; i < n; i++) b[i] = (uint8_t)(value >> (8 * i));
}

/* The end record, NULL where there is none. */
static uint8_t *find_end(uint8_t *data, size_t n)
{
    for (size_t back = END; back <= n; back++)
        if (memcmp(data + n - back, "PK\5\6", 4) == 0) return data + n - back;
    return NULL;
}

/* The entry of the list at *at, which is moved on; NULL at its end, or where it is damaged. */
static uint8_t *next_entry(uint8_t *data, size_t n, size_t *at)
{
    if (*at > n || n - *at < ENTRY || memcmp(data + *at, "PK\1\2", 4) != 0) return NULL;
    uint8_t *entry = data + *at;
    *at += ENTRY + little(entry + 28, 2) + little(entry + 30, 2) + little(entry + 32, 2);
    return entry;
}

/* The headers of zip and numpy, and zip's list. */
static size_t structure(const uint8_t *data, size_t n, sqzt_range ranges[SQZT_RANGES])
{
    size_t used = 0, list = n;
    for (size_t i = 0; i + 4 <= n; i++) {
        const bool first = memcmp(data + i, "PK\1\2", 4) == 0;
        if (first || (memcmp(data + i, "PK\3\4", 4) == 0 && used + 1 < SQZT_RANGES))
            ranges[used++] = (sqzt_range){i, first ? n : i + HEADER < n ? i + HEADER : n};
        if (first) {
            list = i;
            break;
        }
    }
    for (size_t i = 0; i < used; i++)
        if (ranges[i].begin < list && ranges[i].end > list) ranges[i].end = list;
    return used;
}

/* What numpy's header says of its own length, where the change lies in its text. */
static void mend_header(uint8_t *member, size_t n, size_t at, int64_t delta)
{
    if (at >= 10 && n >= 10 && at < 10 + little(member + 8, 2))
        add_to(member + 8, 2, (uint64_t)delta);
}

/* The sizes of the stored member that was changed, and the places of what lies behind it. */
static void resize(uint8_t *data, size_t n, size_t at, int64_t delta)
{
    uint8_t *end = find_end(data, n), *entry;
    if (!end) return;
    if (at < little(end + 16, 4)) add_to(end + 16, 4, (uint64_t)delta);
    for (size_t list = (size_t)little(end + 16, 4); (entry = next_entry(data, n, &list));) {
        const uint64_t local = little(entry + 42, 4),
                       begin = local + LOCAL +
                               (local + LOCAL <= n
                                    ? little(data + local + 26, 2) + little(data + local + 28, 2)
                                    : 0);
        const uint64_t bytes = little(entry + 20, 4);
        if (local > at) add_to(entry + 42, 4, (uint64_t)delta);
        else if (at >= begin && at < begin + bytes && begin + bytes + (uint64_t)delta <= n) {
            add_to(entry + 20, 4, (uint64_t)delta);
            add_to(entry + 24, 4, (uint64_t)delta);
            mend_header(data + begin, (size_t)(bytes + (uint64_t)delta), at - (size_t)begin, delta);
        }
    }
}

const sqzt_fuzz_format sqzt_fuzz_format_of_harness = {.structure = structure,
                                                      .resize = resize,
                                                      .tokens = tokens,
                                                      .n_tokens = sizeof tokens / sizeof *tokens};

/* The sums of the stored members. */
static void mend_sums(uint8_t *data, size_t n)
{
    const uint8_t *end = find_end(data, n);
    uint8_t *entry;
    if (!end) return;
    for (size_t list = (size_t)little(end + 16, 4); (entry = next_entry(data, n, &list));) {
        const uint64_t local = little(entry + 42, 4), bytes = little(entry + 20, 4);
        if (local + LOCAL > n || little(entry + 10, 2) != 0) continue;
        const uint64_t begin = local + LOCAL + little(data + local + 26, 2) +
                               little(data + local + 28, 2);
        if (begin > n || bytes > n - begin) continue;
        const uint32_t sum = (uint32_t)crc32(crc32(0, NULL, 0), data + begin, (uInt)bytes);
        for (int i = 0; i < 4; i++) entry[16 + i] = (uint8_t)(sum >> (8 * i));
    }
}

static sqz_model *model_of(int form)
{
    sqz_error error = {0};
    sqz_model *model;
    sqzt_tiny_write(&sqzt_tiny_forms[form].tiny, sqzt_fuzz_path("model.gguf"));
    if (sqz_model_open(sqzt_fuzz_context(), sqzt_fuzz_path("model.gguf"), &model, &error) != SQZ_OK)
        sqzt_fuzz_breach(error.text);
    return model;
}

static void look(void *user, const sqz_vector_report *report)
{
    uint32_t *n = user;
    if (report->sequence != (*n)++ || report->n_tokens < 1 || isnan(report->hidden_error) ||
        isnan(report->logits_error))
        sqzt_fuzz_breach("a report that cannot be");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char name[] = "vectors.npz";
    static sqz_model *models[2];
    static uint8_t mended[SQZT_INPUT_BYTES];
    for (int i = 0; i < 2; i++)
        if (!models[i]) models[i] = model_of(i);
    if (n > sizeof mended) return 0;
    if (n) memcpy(mended, data, n);
    if (n % 8) mend_sums(mended, n);
    sqzt_fuzz_write(name, mended, n);
    for (int i = 0; i < 2; i++) {
        uint32_t reports = 0;
        sqz_error error = {0};
        sqz_verification result;
        sqzt_fuzz_begin(n);
        const sqz_status status = sqz_vectors_compare(
            models[i], sqzt_fuzz_path(name),
            &(sqz_vectors_options){.tolerance = i ? 1e30 : 0, .report = look, .user = &reports},
            &result, &error);
        if ((status == SQZ_OK || status == SQZ_ENUMERIC) &&
            (reports != result.n_vectors || !(result.tolerance > 0)))
            sqzt_fuzz_breach("a result that does not fit its reports");
        if (status == SQZ_OK && !(result.max_error <= result.tolerance))
            sqzt_fuzz_breach("vectors that differ and agree");
        if (status != SQZ_OK && !strstr(error.text, name))
            sqzt_fuzz_breach("an error that does not name the file");
        sqzt_fuzz_end();
    }
    return 0;
}
