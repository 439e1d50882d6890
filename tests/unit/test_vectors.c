/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors made elsewhere: a file of the model's own results agrees; whatever is changed in it is
 * refused or seen, and no allocation that fails leaks. tests/cli/vectors.sh has the faults one by
 * one. */
#define _POSIX_C_SOURCE 200809L
#include <squeezebert/session.h>
#include <squeezebert/vectors.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "import/npy_array.h"
#include "import/zip_archive.h"
#include "support/counting_memory.h"
#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { TOKENS = 11, WIDTH = 24, CLASSES = 3, MOST = 1 << 14 };

typedef struct bytes {
    unsigned char data[MOST];
    size_t n;
} bytes;

static void put(bytes *b, const void *data, size_t n)
{
    assert_true(b->n + n <= MOST);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void put_uint(bytes *b, uint64_t value, int n)
{
    for (int i = 0; i < n; i++) put(b, &(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

static void put_array(bytes *b, const char *type, const char *shape, const void *numbers, size_t n)
{
    char text[118];
    const int used = snprintf(text, sizeof text,
                              "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type,
                              shape);
    memset(text + used, ' ', sizeof text - (size_t)used);
    text[sizeof text - 1] = '\n';
    put(b, "\x93NUMPY\1", 7);
    put_uint(b, 0, 1);
    put_uint(b, sizeof text, 2);
    put(b, text, sizeof text);
    put(b, numbers, n);
}

/* A zip file of stored members, as numpy.savez writes it. */
typedef struct zip {
    bytes file, list;
    uint32_t n;
} zip;

static void put_member(zip *z, const char *name, const bytes *content)
{
    const size_t begin = z->file.n, name_n = strlen(name);
    const uint32_t sum = (uint32_t)crc32(0, content->data, (uInt)content->n);
    bytes facts = {.n = 0}; /* what both headers hold, from the version on */
    put_uint(&facts, 20, 2);
    put_uint(&facts, 0, 8); /* flags, stored, time, date */
    put_uint(&facts, sum, 4);
    put_uint(&facts, content->n, 4);
    put_uint(&facts, content->n, 4);
    put_uint(&facts, name_n, 4);
    put(&z->file, "PK\3\4", 4);
    put(&z->file, facts.data, facts.n);
    put(&z->file, name, name_n);
    put(&z->file, content->data, content->n);
    put(&z->list, "PK\1\2\24\0", 6);
    put(&z->list, facts.data, facts.n);
    /* comment, disk, kind and, in 4 more bytes with the next, attributes */
    put_uint(&z->list, 0, 8);
    put_uint(&z->list, 0, 2);
    put_uint(&z->list, begin, 4);
    put(&z->list, name, name_n);
    z->n++;
}

static void finish(zip *z)
{
    const size_t begin = z->file.n;
    put(&z->file, z->list.data, z->list.n);
    put(&z->file, "PK\5\6\0\0\0\0", 8);
    put_uint(&z->file, z->n, 2);
    put_uint(&z->file, z->n, 2);
    put_uint(&z->file, z->list.n, 4);
    put_uint(&z->file, begin, 4);
    put_uint(&z->file, 0, 2);
}

static void write_file(const char *path, const unsigned char *data, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    fclose(file);
}

typedef struct work {
    sqzt_memory memory;
    sqz_allocator allocator;
    sqz_context *context;
    sqz_model *model;
    zip z;
    char path[256];
} work;

/* A tiny model and a file with its results of two sequences. */
static void begin(work *w)
{
    const uint32_t first[] = {0, 4, TOKENS};
    const int32_t lengths[] = {4, 7};
    uint32_t ids[TOKENS];
    float hidden[TOKENS * WIDTH], logits[2 * CLASSES];
    sqz_error error = {0};
    sqz_session *session;
    memset(w, 0, sizeof *w);
    w->allocator = sqzt_allocator(&w->memory);
    const char *model = sqzt_temporary("vectors.gguf");
    snprintf(w->path, sizeof w->path, "%s", sqzt_temporary("vectors.npz"));
    sqzt_tiny_write(&sqzt_tiny_forms[0].tiny, model);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.allocator = &w->allocator,
                                                           .n_threads = 1,
                                                           .cpu = "portable"},
                                    &w->context, &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(w->context, model, &w->model, &error), &error);
    for (uint32_t i = 0; i < TOKENS; i++) ids[i] = 5 * i;
    const sqz_batch batch = {.n_sequences = 2, .first = first, .ids = ids};
    sqzt_assert_ok(
        sqz_session_open(w->model, &(sqz_session_options){.max_tokens = TOKENS, .max_sequences = 2},
                         &session, &error),
        &error);
    sqzt_assert_ok(sqz_encode(session, &batch, hidden, WIDTH, &error), &error);
    sqzt_assert_ok(sqz_logits(session, &batch, NULL, 0, logits, CLASSES, &error), &error);
    sqz_session_close(session);
    const struct {
        const char *name, *type, *shape;
        const void *numbers;
        size_t n;
    } arrays[] = {{"ids.npy", "<u4", "11,", ids, sizeof ids},
                  {"lengths.npy", "<i4", "2,", lengths, sizeof lengths},
                  {"hidden.npy", "<f4", "11, 24", hidden, sizeof hidden},
                  {"logits.npy", "<f4", "2, 3", logits, sizeof logits}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        bytes array = {.n = 0};
        put_array(&array, arrays[i].type, arrays[i].shape, arrays[i].numbers, arrays[i].n);
        put_member(&w->z, arrays[i].name, &array);
    }
    finish(&w->z);
    write_file(w->path, w->z.file.data, w->z.file.n);
}

static void end(work *w)
{
    sqz_model_close(w->model);
    sqz_context_close(w->context);
    assert_int_equal(w->memory.held_bytes, 0);
}

static void count_report(void *user, const sqz_vector_report *report)
{
    uint32_t *n = user;
    assert_int_equal(report->sequence, *n);
    assert_int_equal(report->n_tokens, *n ? 7 : 4);
    assert_true(report->agrees && report->hidden_error == 0 && report->logits_error == 0);
    ++*n;
}

static void own_results_agree_to_the_bit(void **state)
{
    (void)state;
    static work w;
    sqz_error error = {0};
    sqz_verification v;
    uint32_t n = 0;
    begin(&w);
    sqzt_assert_ok(sqz_vectors_compare(w.model, w.path,
                                       &(sqz_vectors_options){.report = count_report, .user = &n},
                                       &v, &error),
                   &error);
    assert_int_equal(n, 2);
    assert_int_equal(v.n_vectors, 2);
    assert_true(v.max_error == 0 && v.tolerance >= 0x1p-14);
    assert_int_equal(sqz_vectors_compare(w.model, w.path, &(sqz_vectors_options){.tolerance = -1},
                                         &v, &error),
                     SQZ_EINVAL);
    end(&w);
}

/* One or a few bytes changed: refused, or the file says the same as before (its dates, say). */
static void a_changed_file_is_refused_or_means_the_same(void **state)
{
    (void)state;
    static work w;
    static unsigned char changed[MOST];
    sqz_error error = {0};
    sqz_verification v;
    sqzt_random random = sqzt_random_of(17);
    uint32_t refused = 0;
    begin(&w);
    for (int i = 0; i < 4000; i++) {
        memcpy(changed, w.z.file.data, w.z.file.n);
        for (uint64_t k = 0; k <= sqzt_below(&random, 3); k++)
            changed[sqzt_below(&random, w.z.file.n)] = (unsigned char)sqzt_below(&random, 256);
        write_file(w.path, changed, i % 10 ? w.z.file.n : sqzt_below(&random, w.z.file.n));
        const uint64_t held = w.memory.held_bytes;
        const sqz_status status = sqz_vectors_compare(w.model, w.path, NULL, &v, &error);
        assert_int_equal(w.memory.held_bytes, held);
        if (status == SQZ_OK) assert_true(v.max_error == 0 && v.n_vectors == 2);
        else
            assert_true(status == SQZ_EFORMAT || status == SQZ_EUNSUPPORTED ||
                        status == SQZ_ELIMIT);
        refused += status != SQZ_OK;
    }
    assert_true(refused > 3000);
    end(&w);
}

/* The header alone, without the sum that guards it in a zip file: a header that is accepted
 * describes exactly the bytes that are there. */
static void a_changed_header_never_reaches_past_the_array(void **state)
{
    (void)state;
    static const char letters[] = "{}()'\",: 0123456789<>|fiuTrue Falseshape\n";
    const float numbers[6] = {0};
    bytes array = {.n = 0};
    sqz_error error = {0};
    sqzt_random random = sqzt_random_of(23);
    uint32_t accepted = 0;
    put_array(&array, "<f4", "2, 3", numbers, sizeof numbers);
    for (int i = 0; i < 200000; i++) {
        sqzi_npy_array a;
        unsigned char *copy = malloc(array.n); /* of its own, so that a sanitizer sees its end */
        assert_non_null(copy);
        memcpy(copy, array.data, array.n);
        for (uint64_t k = 0; k <= sqzt_below(&random, 4); k++)
            copy[sqzt_below(&random, 80)] =
                i % 2 ? (unsigned char)letters[sqzt_below(&random, sizeof letters - 1)]
                      : (unsigned char)sqzt_below(&random, 256);
        if (sqzi_npy_read("file", "x", copy, array.n, &a, &error) == SQZ_OK) {
            assert_ptr_equal(a.data + a.n * a.number_bytes, copy + array.n);
            accepted++;
        }
        free(copy);
    }
    printf("%u of 200000 accepted\n", accepted);
    assert_true(accepted > 1000 && accepted < 150000);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static work w;
    sqz_error error = {0};
    sqz_verification v;
    sqz_status status = SQZ_ENOMEM;
    uint64_t n = 1;
    begin(&w);
    for (; status == SQZ_ENOMEM && n < 100; n++) {
        const uint64_t held = w.memory.held_bytes;
        w.memory.fail_at = w.memory.calls + n;
        status = sqz_vectors_compare(w.model, w.path, NULL, &v, &error);
        w.memory.fail_at = 0;
        assert_int_equal(w.memory.held_bytes, held);
    }
    sqzt_assert_ok(status, &error);
    assert_true(n > 6); /* four arrays, the results, the session */
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_results_agree_to_the_bit),
        cmocka_unit_test(a_changed_file_is_refused_or_means_the_same),
        cmocka_unit_test(a_changed_header_never_reaches_past_the_array),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
