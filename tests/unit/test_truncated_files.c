/* SPDX-License-Identifier: Apache-2.0 */
/* Files cut short at every byte, and numbers of their headers replaced by 2^60: refused, with the
 * file's name, and nothing held. The files are seeds of the fuzzing corpus, read from the root of
 * the source tree. */
#define _POSIX_C_SOURCE 200809L
#include <squeezebert/import.h>
#include <squeezebert/model.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "import/source_tensors.h"
#include "support/counting_memory.h"
#include "support/test.h"
#include "support/tiny_model.h"

typedef struct bytes {
    unsigned char *data;
    size_t n;
} bytes;

static bytes read_seed(const char *path)
{
    enum { MOST = 1 << 16 };
    bytes b = {malloc(MOST), 0};
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s is missing: run this in the root of the source tree", path);
    assert_non_null(b.data);
    b.n = fread(b.data, 1, MOST, file);
    assert_int_equal(fclose(file), 0);
    assert_true(b.n > 0 && b.n < MOST);
    return b;
}

static const char *folder(void)
{
    static char path[256];
    if (path[0]) return path;
    snprintf(path, sizeof path, "%s", sqzt_temporary("cut"));
    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static const char *put(const char *name, const unsigned char *data, size_t n)
{
    static char path[320];
    snprintf(path, sizeof path, "%s/%s", folder(), name);
    /* some file systems wait for the disk where a file is cut to nothing and written again */
    (void)remove(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    if (n) assert_int_equal(fwrite(data, n, 1, file), 1);
    assert_int_equal(fclose(file), 0);
    return path;
}

typedef sqz_status opener(sqz_context *context, const sqz_allocator *allocator, const char *path,
                          sqz_error *error);

static sqz_status open_model(sqz_context *context, const sqz_allocator *allocator, const char *path,
                             sqz_error *error)
{
    (void)allocator;
    sqz_model *model = NULL;
    const sqz_status status = sqz_model_open(context, path, &model, error);
    sqz_model_close(model);
    return status;
}

static sqz_status open_weights(sqz_context *context, const sqz_allocator *allocator,
                               const char *path, sqz_error *error)
{
    (void)context;
    (void)path;
    sqzi_source source;
    const sqz_status status = sqzi_source_open(allocator, folder(), NULL, &source, error);
    sqzi_source_close(&source);
    return status;
}

static sqz_status import(sqz_context *context, const sqz_allocator *allocator, const char *path,
                         sqz_error *error)
{
    (void)allocator;
    char output[320];
    snprintf(output, sizeof output, "%s.gguf", path);
    const sqz_status status = sqz_import(context, folder(), output, NULL, error);
    if (status == SQZ_OK) assert_int_equal(remove(output), 0);
    return status;
}

typedef struct subject {
    sqz_context *context;
    sqz_allocator allocator;
    sqzt_memory memory;
} subject;

static void begin(subject *s)
{
    sqz_error error = {0};
    s->memory = (sqzt_memory){0};
    s->allocator = sqzt_allocator(&s->memory);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.allocator = &s->allocator,
                                                           .n_threads = 1,
                                                           .cpu = "portable"},
                                    &s->context, &error),
                   &error);
}

static void end(const subject *s)
{
    sqz_context_close(s->context);
    assert_int_equal(s->memory.held_bytes, 0);
}

/* `n` bytes of it must be refused. */
static void check_refused(subject *s, const char *name, opener *open, const unsigned char *data,
                          size_t n, size_t place)
{
    sqz_error error = {0};
    const char *path = put(name, data, n);
    const uint64_t held = s->memory.held_bytes;
    s->memory.most_bytes = held;
    const sqz_status status = open(s->context, &s->allocator, path, &error);
    if (status == SQZ_OK || status == SQZ_ENOMEM || !strstr(error.text, name))
        fail_msg("%s, byte %zu: %s, '%s'", name, place, sqz_status_name(status), error.text);
    if (s->memory.held_bytes != held) fail_msg("%s, byte %zu: something is held", name, place);
    if (s->memory.most_bytes - held > 16 * n + 64000000)
        fail_msg("%s, byte %zu: %llu bytes were taken", name, place,
                 (unsigned long long)(s->memory.most_bytes - held));
}

/* `padding` bytes at the end may be missing: no tensor has them. */
static void cut_everywhere(const char *seed, size_t padding, const char *name, opener *open)
{
    sqz_error error = {0};
    subject s;
    begin(&s);
    const bytes b = read_seed(seed);
    sqzt_assert_ok(open(s.context, &s.allocator, put(name, b.data, b.n), &error), &error);
    for (size_t n = 0; n + padding < b.n; n++) check_refused(&s, name, open, b.data, n, n);
    assert_int_equal(remove(put(name, b.data, b.n)), 0);
    free(b.data);
    end(&s);
}

static void a_cut_model_file_is_refused(void **state)
{
    (void)state;
    cut_everywhere("tests/fuzz/corpus/gguf/tiny-rank-projected", 63, "model.gguf", open_model);
}

static void a_cut_safetensors_file_is_refused(void **state)
{
    (void)state;
    cut_everywhere("tests/fuzz/corpus/safetensors/types", 0, "model.safetensors", open_weights);
}

static void a_cut_archive_is_refused(void **state)
{
    (void)state;
    cut_everywhere("tests/fuzz/corpus/torch_archive/zip-plain", 0, "pytorch_model.bin",
                   open_weights);
    cut_everywhere("tests/fuzz/corpus/torch_archive/legacy-plain", 0, "pytorch_model.bin",
                   open_weights);
}

/* The files of a folder, one of them cut; the others are whole. */
static void a_cut_text_of_a_folder_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"model.safetensors", "vocab.txt"};
    for (int i = 0; i < 2; i++) {
        char path[128];
        snprintf(path, sizeof path, "tests/golden/models/bert-sequence/%s", names[i]);
        const bytes b = read_seed(path);
        put(names[i], b.data, b.n);
        free(b.data);
    }
    bytes config = read_seed("tests/golden/models/bert-sequence/config.json");
    while (config.data[config.n - 1] != '}') config.n--;
    subject s;
    begin(&s);
    for (size_t n = 0; n < config.n; n++)
        check_refused(&s, "config.json", import, config.data, n, n);
    put("config.json", config.data, config.n);
    sqz_error error = {0};
    sqzt_assert_ok(import(s.context, &s.allocator, "tests", &error), &error);
    free(config.data);
    for (int i = 0; i < 2; i++) assert_int_equal(remove(put(names[i], NULL, 0)), 0);
    assert_int_equal(remove(put("config.json", NULL, 0)), 0);
    end(&s);
}

/* 2^60 at every byte of the header's 8-byte numbers: whatever it hits there, memory stays bounded;
 * a file that opens nevertheless had it in a place that nothing reads as a size (a float, a
 * text). */
static void numbers_of_2_60_take_no_memory(void **state)
{
    (void)state;
    sqz_error error = {0};
    subject s;
    begin(&s);
    const bytes b = read_seed("tests/fuzz/corpus/gguf/tiny-rank-projected");
    size_t header = 0, refused = 0;
    for (size_t i = 0; i + 5 < b.n; i++)
        if (memcmp(b.data + i, ".bias", 5) == 0) header = i + 5;
    assert_true(header > 1000);
    for (size_t i = 8; i < header; i++) {
        unsigned char kept[8];
        memcpy(kept, b.data + i, sizeof kept);
        memcpy(b.data + i, "\0\0\0\0\0\0\0\x10", sizeof kept);
        s.memory.most_bytes = 0;
        refused += open_model(s.context, &s.allocator, put("model.gguf", b.data, b.n), &error) !=
                   SQZ_OK;
        memcpy(b.data + i, kept, sizeof kept);
        assert_true(s.memory.most_bytes <= 16 * b.n + 64000000);
    }
    assert_true(refused > header / 2);
    free(b.data);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_model_file_is_refused),
        cmocka_unit_test(a_cut_safetensors_file_is_refused),
        cmocka_unit_test(a_cut_archive_is_refused),
        cmocka_unit_test(a_cut_text_of_a_folder_is_refused),
        cmocka_unit_test(numbers_of_2_60_take_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
