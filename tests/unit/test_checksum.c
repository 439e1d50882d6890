/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums of model files: no damage passes, what is damaged is named, and files from before there
 * were any open as ever. The program runs in the root of the source tree. */
#include <squeezebert/model.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sha256.h"
#include "io/checksum.h"
#include "support/one_context.h"
#include "support/test.h"
#include "support/tiny_model.h"

static const char with[] = "tests/fuzz/corpus/gguf/tiny-rank-checksums",
                  without[] = "tests/fuzz/corpus/gguf/tiny-rank-projected";

typedef struct bytes {
    unsigned char *data;
    size_t n;
} bytes;

static bytes read_all(const char *path)
{
    bytes b = {NULL, 0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    b.n = (size_t)ftell(file);
    rewind(file);
    b.data = malloc(b.n);
    assert_non_null(b.data);
    assert_int_equal(fread(b.data, 1, b.n, file), b.n);
    fclose(file);
    return b;
}

static void write_all(const char *path, const unsigned char *data, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static sqz_status check(const char *path, sqz_file_check *found, sqz_error *error)
{
    *error = (sqz_error){0};
    return sqz_model_check(context, path, found, error);
}

static void what_was_written_passes(void **state)
{
    (void)state;
    sqz_error error;
    sqz_file_check found;
    sqz_model *model;
    bytes file = read_all(with);
    sqzt_assert_ok(check(with, &found, &error), &error);
    assert_true(found.has_checksum);
    assert_int_equal(found.n_bytes, file.n);
    sqzt_assert_ok(sqz_model_open(context, with, &model, &error), &error);
    sqz_tensor_info first;
    assert_true(sqz_model_tensor(model, 0, &first));
    sqzi_sha256 hash;
    char digest[SQZI_SHA256_HEX];
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, file.data + first.offset, file.n - (size_t)first.offset);
    sqzi_sha256_final(&hash, digest);
    assert_string_equal(found.sha256, digest);
    sqz_model_close(model);
    free(file.data);
}

static void replace(FILE *file, size_t at, unsigned char byte)
{
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    assert_int_equal(fputc(byte, file), byte);
    assert_int_equal(fflush(file), 0);
}

/* Padding, names, offsets, spellings and the checksums themselves among them. */
static void no_changed_byte_passes(void **state)
{
    (void)state;
    const char *path = sqzt_temporary("damaged.gguf");
    bytes file = read_all(with);
    write_all(path, file.data, file.n);
    FILE *damaged = fopen(path, "r+b");
    assert_non_null(damaged);
    for (size_t i = 0; i < file.n; i++) {
        sqz_error error;
        sqz_file_check found;
        if (i) replace(damaged, i - 1, file.data[i - 1]);
        replace(damaged, i, file.data[i] ^ (unsigned char)(1u << i % 8));
        const sqz_status status = check(path, &found, &error);
        if (status == SQZ_OK || !strstr(error.text, path))
            fail_msg("byte %zu: %s, '%s'", i, sqz_status_name(status), error.text);
    }
    fclose(damaged);
    free(file.data);
}

static void the_first_damaged_tensor_is_named(void **state)
{
    (void)state;
    sqz_error error;
    sqz_file_check found;
    sqz_model *model;
    sqz_tensor_info tensor;
    char wanted[128];
    const char *path = sqzt_temporary("damaged.gguf");
    bytes file = read_all(with);
    sqzt_assert_ok(sqz_model_open(context, with, &model, &error), &error);
    uint32_t n = 0;
    for (; sqz_model_tensor(model, n, &tensor); n++) {
        const size_t last = (size_t)(tensor.offset + tensor.bytes) - 1;
        file.data[last] ^= 1;
        file.data[file.n - 1] ^= 1;
        write_all(path, file.data, file.n);
        snprintf(wanted, sizeof wanted, "damaged.gguf: tensor '%s' (bytes %llu to ", tensor.name,
                 (unsigned long long)tensor.offset);
        sqzt_assert_fails(check(path, &found, &error), SQZ_EFORMAT, &error, wanted);
        assert_true(found.has_checksum);
        file.data[last] ^= 1;
        file.data[file.n - 1] ^= 1;
    }
    assert_true(n > 10);
    sqz_model_close(model);
    free(file.data);
}

static void metadata_that_changed_are_told_from_tensors(void **state)
{
    (void)state;
    static const char word[] = "general.architecture";
    sqz_error error;
    sqz_file_check found;
    const char *path = sqzt_temporary("damaged.gguf");
    bytes file = read_all(with);
    size_t at = 0;
    while (memcmp(file.data + at, word, sizeof word - 1) != 0) at++;
    file.data[at + sizeof word - 1 + 4 + 8] ^= 1; /* behind the value's type and length */
    write_all(path, file.data, file.n);
    sqzt_assert_fails(check(path, &found, &error), SQZ_EFORMAT, &error,
                      "damaged.gguf: metadata or the list of tensors are not");
    free(file.data);
}

static void a_longer_file_does_not_pass(void **state)
{
    (void)state;
    sqz_error error;
    sqz_file_check found;
    const char *path = sqzt_temporary("longer.gguf");
    bytes file = read_all(with);
    unsigned char *longer = calloc(1, file.n + 1);
    assert_non_null(longer);
    memcpy(longer, file.data, file.n);
    write_all(path, longer, file.n + 1);
    sqzt_assert_fails(check(path, &found, &error), SQZ_EFORMAT, &error, "is not what its SHA-256");
    write_all(path, longer, file.n - 1);
    assert_int_equal(check(path, &found, &error), SQZ_EFORMAT);
    free(longer);
    free(file.data);
}

static void a_file_without_checksums_opens_and_says_so(void **state)
{
    (void)state;
    sqz_error error;
    sqz_file_check found;
    sqz_model *model;
    sqzt_assert_ok(check(without, &found, &error), &error);
    assert_false(found.has_checksum);
    assert_string_equal(found.sha256, "");
    sqzt_assert_ok(sqz_model_open(context, without, &model, &error), &error);
    sqz_model_close(model);
}

static void what_is_no_model_file_is_refused_by_name(void **state)
{
    (void)state;
    sqz_error error;
    sqz_file_check found;
    sqzt_assert_fails(check("tests/no-such.gguf", &found, &error), SQZ_EIO, &error,
                      "tests/no-such.gguf");
    sqzt_assert_fails(check("README.md", &found, &error), SQZ_EFORMAT, &error,
                      "README.md: begins with other bytes");
    sqzt_assert_fails(check(NULL, &found, &error), SQZ_EINVAL, &error, "is NULL");
    assert_int_equal(sqz_model_check(NULL, with, &found, NULL), SQZ_EINVAL);
    assert_int_equal(sqz_model_check(context, with, NULL, NULL), SQZ_EINVAL);
}

static void strings_of_metadata_come_one_by_one(void **state)
{
    (void)state;
    sqz_error error;
    sqz_model *model;
    sqz_text text;
    sqzt_assert_ok(sqz_model_open(context, with, &model, &error), &error);
    assert_true(sqz_model_text(model, "general.architecture", 0, &text));
    assert_int_equal(text.n_bytes, strlen("sqz-encoder"));
    assert_memory_equal(text.bytes, "sqz-encoder", text.n_bytes);
    assert_false(sqz_model_text(model, "general.architecture", 1, &text));
    assert_true(sqz_model_text(model, "tokenizer.ggml.tokens", 4, &text));
    assert_memory_equal(text.bytes, "[MASK]", 6);
    assert_false(sqz_model_text(model, "tokenizer.ggml.tokens", 1 << 20, &text));
    assert_false(sqz_model_text(model, "sqz.width", 0, &text));
    assert_false(sqz_model_text(model, "sqz.nothing", 0, &text));
    sqz_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_passes),
        cmocka_unit_test(no_changed_byte_passes),
        cmocka_unit_test(the_first_damaged_tensor_is_named),
        cmocka_unit_test(metadata_that_changed_are_told_from_tensors),
        cmocka_unit_test(a_longer_file_does_not_pass),
        cmocka_unit_test(a_file_without_checksums_opens_and_says_so),
        cmocka_unit_test(what_is_no_model_file_is_refused_by_name),
        cmocka_unit_test(strings_of_metadata_come_one_by_one),
    };
    return cmocka_run_group_tests(tests, sqzt_open_context, sqzt_close_context);
}
