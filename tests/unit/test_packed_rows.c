/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of 4, 3 and 2 bits against a reading of their definition bit by bit, and what of a file is
 * refused. */
#include <squeezebert/export.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/packed_rows.h"
#include "support/opened.h"
#include "support/random.h"
#include "support/test.h"

enum { MOST = 700, MOST_BYTES = MOST };

/* The definition (packed_rows.h), by itself. */
static const struct {
    unsigned bits, multiplier_bits, most;
    int lowest, step;
} forms[] = {{4, 4, 15, -8, 1}, {3, 5, 31, -4, 1}, {2, 6, 42, -3, 2}};

static unsigned bits_at(const uint8_t *from, size_t at, unsigned n)
{
    unsigned value = 0;
    for (unsigned i = 0; i < n; i++)
        value |= ((unsigned)from[(at + i) / 8] >> (at + i) % 8 & 1u) << i;
    return value;
}

static size_t bytes_of(size_t bits)
{
    return (bits + 7) / 8;
}

/* Numbers that one form can hold, and their multipliers: every code and every multiplier occurs. */
static void draw(sqzt_random *random, size_t form, size_t n, int8_t *numbers, uint8_t *multipliers)
{
    for (size_t g = 0; g < sqzi_packed_groups(n); g++)
        multipliers[g] = (uint8_t)(1 + sqzt_below(random, forms[form].most));
    for (size_t i = 0; i < n; i++) {
        const int code = (int)sqzt_below(random, 1u << forms[form].bits);
        numbers[i] = (int8_t)(multipliers[i / 32] * (forms[form].lowest + forms[form].step * code));
    }
}

static void every_length_expands_to_what_the_definition_says(void **state)
{
    (void)state;
    sqzt_random random = sqzt_random_of(1);
    int8_t numbers[MOST], got[MOST];
    uint8_t multipliers[MOST / 32 + 1], row[MOST_BYTES];
    for (size_t form = 0; form < 3; form++)
        for (size_t n = 1; n <= MOST; n += n < 100 ? 1 : 37) {
            const unsigned bits = forms[form].bits, width = forms[form].multiplier_bits;
            const size_t groups = (n + 31) / 32, head = bytes_of(groups * width),
                         bytes = head + bytes_of(n * bits);
            const char *what;
            assert_int_equal(sqzi_packed_row_bytes(bits, n), bytes);
            draw(&random, form, n, numbers, multipliers);
            memset(row, 0xA5, sizeof row);
            sqzi_packed_put(bits, n, numbers, multipliers, row);
            assert_int_equal(row[bytes], 0xA5);
            assert_true(sqzi_packed_row_check(bits, n, row, &what));
            for (size_t i = 0; i < n; i++) {
                const int m = (int)bits_at(row, i / 32 * width, width),
                          code = (int)bits_at(row + head, i * bits, bits);
                assert_int_equal(m, multipliers[i / 32]);
                assert_int_equal(m * (forms[form].lowest + forms[form].step * code), numbers[i]);
            }
            memset(got, 77, sizeof got);
            sqzi_packed_expand(bits, n, row, 0, n, got);
            assert_memory_equal(got, numbers, n);
            if (n < MOST) assert_int_equal(got[n], 77);
            for (size_t begin = 0; begin < n; begin += 96) {
                const size_t count = n - begin < 96 ? n - begin : 96;
                sqzi_packed_expand(bits, n, row, begin, count, got);
                assert_memory_equal(got, numbers + begin, count);
            }
        }
}

/* Every pair of a multiplier and a code, at its first place of a word and at its last. */
static void every_product_fits_int8(void **state)
{
    (void)state;
    int8_t numbers[32], got[32];
    uint8_t row[32], multiplier;
    for (size_t form = 0; form < 3; form++)
        for (unsigned m = 1; m <= forms[form].most; m++)
            for (int code = 0; code < 1 << forms[form].bits; code++) {
                const int product = (int)m * (forms[form].lowest + forms[form].step * code);
                assert_true(product >= -127 && product <= 127);
                multiplier = (uint8_t)m;
                memset(numbers, (int)(unsigned char)(int8_t)product, sizeof numbers);
                sqzi_packed_put(forms[form].bits, 32, numbers, &multiplier, row);
                sqzi_packed_expand(forms[form].bits, 32, row, 0, 32, got);
                assert_memory_equal(got, numbers, sizeof got);
            }
}

static void what_no_writer_makes_is_seen(void **state)
{
    (void)state;
    for (size_t form = 0; form < 3; form++) {
        const unsigned bits = forms[form].bits, width = forms[form].multiplier_bits;
        enum { N = 33 }; /* a second group of one number: bits are left over in both parts */
        int8_t numbers[N];
        uint8_t multipliers[2], row[64];
        const char *what = "";
        sqzt_random random = sqzt_random_of(form);
        draw(&random, form, N, numbers, multipliers);
        const size_t bytes = sqzi_packed_row_bytes(bits, N);
        for (size_t bit = 0; bit < 8 * bytes; bit++) {
            sqzi_packed_put(bits, N, numbers, multipliers, row);
            row[bit / 8] = (uint8_t)(row[bit / 8] ^ 1u << bit % 8);
            const size_t head = 8 * bytes_of(2 * width);
            const bool unused = (bit >= 2 * width && bit < head) || bit >= head + N * bits;
            unsigned m[2] = {bits_at(row, 0, width), bits_at(row, width, width)};
            const bool fits = m[0] >= 1 && m[0] <= forms[form].most && m[1] >= 1 &&
                              m[1] <= forms[form].most;
            assert_true(sqzi_packed_row_check(bits, N, row, &what) == (fits && !unused));
            if (unused) assert_non_null(strstr(what, "unused"));
        }
        sqzi_packed_put(bits, N, numbers, multipliers, row);
        row[0] = (uint8_t)(row[0] & ~((1u << width) - 1));
        assert_false(sqzi_packed_row_check(bits, N, row, &what));
        assert_string_equal(what, "a multiplier of 0");
    }
}

/* ---- model files ---- */

static const sqzt_tiny *form_of(const char *name)
{
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++)
        if (strcmp(f->name, name) == 0) return &f->tiny;
    fail_msg("no form '%s'", name);
    return NULL;
}

/* Hidden states, and logits where there is a head, of one sequence. */
static size_t run(const char *path, const char *cpu, float *out)
{
    enum { TOKENS = 24 };
    uint32_t ids[TOKENS];
    sqz_error error = {0};
    const uint32_t first[] = {0, TOKENS};
    const sqz_session_options room = {.max_tokens = TOKENS, .max_sequences = 1};
    sqzt_opened o = sqzt_open_file(path, cpu, 1, &room);
    const sqz_model_info *info = sqz_model_get_info(o.model);
    for (uint32_t i = 0; i < TOKENS; i++) ids[i] = (5 * i + 3) % SQZT_TINY_VOCABULARY;
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = ids};
    size_t n = (size_t)TOKENS * info->width;
    sqzt_assert_ok(sqz_encode(o.session, &batch, out, info->width, &error), &error);
    if (info->head != SQZ_HEAD_NONE) {
        sqzt_assert_ok(sqz_logits(o.session, &batch, NULL, 0, out + n, info->n_labels, &error),
                       &error);
        n += (info->head == SQZ_HEAD_SEQUENCE ? 1 : TOKENS) * (size_t)info->n_labels;
    }
    sqzt_close(&o);
    return n;
}

/* Tables, wholes, factors, groups, permutations, a tied decoder, behind GELU and not. */
static void a_packed_model_runs_as_its_int8_numbers_do(void **state)
{
    (void)state;
    static float packed[1 << 14], expanded[1 << 14];
    static const char *const levels[] = {"portable", ""};
    const char *path = sqzt_temporary("packed.gguf"), *other = sqzt_temporary("expanded.gguf");
    unsigned seen = 0;
    for (const sqzt_named_tiny *f = sqzt_tiny_forms; f->name; f++) {
        sqzt_tiny tiny = f->tiny;
        if (!tiny.bits) continue;
        seen |= 1u << tiny.bits;
        sqzt_tiny_write(&tiny, path);
        tiny.expanded = true;
        sqzt_tiny_write(&tiny, other);
        for (int level = 0; level < 2; level++) {
            const size_t n = run(path, levels[level], packed);
            assert_int_equal(run(other, levels[level], expanded), n);
            if (memcmp(packed, expanded, n * sizeof *packed) != 0)
                fail_msg("%s, cpu '%s': packed rows give other results", f->name, levels[level]);
        }
    }
    assert_int_equal(seen, 1u << 4 | 1u << 3 | 1u << 2);
}

static uint8_t *read_file(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *n = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*n);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}

/* model.safetensors of the folder that the model is exported to. */
static uint8_t *export_weights(const sqzt_tiny *tiny, const char *folder_name, size_t *n)
{
    char folder[256], file[300];
    sqz_error error = {0};
    sqz_context *context;
    sqz_model *model;
    const char *path = sqzt_temporary("leaves.gguf");
    snprintf(folder, sizeof folder, "%s", sqzt_temporary(folder_name));
    sqzt_tiny_write(tiny, path);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    sqzt_assert_ok(sqz_export(model, folder, &(sqz_export_options){.dense = 1}, &error), &error);
    sqz_model_close(model);
    sqz_context_close(context);
    snprintf(file, sizeof file, "%s/model.safetensors", folder);
    return read_file(file, n);
}

static void a_packed_model_leaves_as_its_int8_numbers_do(void **state)
{
    (void)state;
    static const char *const names[] = {"dense, s4", "odd groups, s3", "low rank, permuted, s2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n[2];
        char folders[2][32];
        sqzt_tiny tiny = *form_of(names[i]);
        snprintf(folders[0], sizeof folders[0], "packed-%zu", i);
        snprintf(folders[1], sizeof folders[1], "expanded-%zu", i);
        uint8_t *packed = export_weights(&tiny, folders[0], &n[0]);
        tiny.expanded = true;
        uint8_t *expanded = export_weights(&tiny, folders[1], &n[1]);
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(packed, expanded, n[0]);
        free(packed);
        free(expanded);
    }
}

static void write_file(const char *path, const uint8_t *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

/* Where row r of a tensor begins. */
static size_t row_at(sqz_context *context, const char *path, const char *name, size_t r)
{
    sqz_error error = {0};
    sqz_model *model;
    sqz_tensor_info tensor = {.name = ""};
    sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
    for (uint32_t i = 0; sqz_model_tensor(model, i, &tensor); i++)
        if (strcmp(tensor.name, name) == 0) break;
    assert_string_equal(tensor.name, name);
    const size_t at = (size_t)(tensor.offset + r * tensor.shape[1]);
    sqz_model_close(model);
    return at;
}

static sqz_status open_and_verify(sqz_context *context, const char *path, bool opens,
                                  sqz_error *error)
{
    sqz_model *model = NULL;
    sqz_verification verification;
    sqz_status status = sqz_model_open(context, path, &model, error);
    assert_true((status == SQZ_OK) == opens);
    if (status == SQZ_OK) status = sqz_model_verify(model, &verification, error);
    sqz_model_close(model);
    return status;
}

/* Of matrices when the file is opened, of tables when somebody asks. */
static void a_bad_row_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {"blk.1.ffn_up.weight.s4", "blk.0.attn_output.weight.s4",
                                        "token_embd.weight.s4", "position_embd.weight.s4"};
    const char *path = sqzt_temporary("packed.gguf"), *bad = sqzt_temporary("bad.gguf");
    sqz_error error = {0};
    sqz_context *context;
    size_t n;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    sqzt_tiny_write(form_of("dense, s4"), path);
    uint8_t *bytes = read_file(path, &n);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char wanted[96];
        const size_t at = row_at(context, path, names[i], 17);
        const uint8_t kept = bytes[at];
        bytes[at] = 0; /* the multipliers of the first two groups */
        write_file(bad, bytes, n);
        bytes[at] = kept;
        snprintf(wanted, sizeof wanted, "row 17 of tensor '%s' holds a multiplier of 0", names[i]);
        /* the word table is the decoder's matrix as well */
        sqzt_assert_fails(open_and_verify(context, bad, i == 3, &error), SQZ_EFORMAT, &error,
                          wanted);
        assert_int_equal(error.offset, at);
    }
    free(bytes);
    sqz_context_close(context);
}

static void refuse(sqz_context *context, const sqzt_tiny *tiny, const char *part)
{
    const char *path = sqzt_temporary("refused.gguf");
    sqz_model *model;
    sqz_error error = {0};
    sqzt_tiny_write(tiny, path);
    sqzt_assert_fails(sqz_model_open(context, path, &model, &error), SQZ_EFORMAT, &error, part);
}

static void what_does_not_fit_the_description_is_refused(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_context *context;
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    sqzt_tiny t = *form_of("dense, s4");
    t.drop = "blk.1.ffn_up.weight";
    refuse(context, &t, "tensor 'blk.1.ffn_up.weight' is missing");
    t = *form_of("dense, s4");
    t.extra = "blk.0.attn_q.weight.s3"; /* beside the s4 */
    refuse(context, &t, "tensor 'blk.0.attn_q.weight.s3' belongs to no part");
    t = *form_of("dense, s4");
    t.extra = "blk.0.attn_q.weight"; /* which takes its place */
    refuse(context, &t, "tensor 'blk.0.attn_q.weight' is [");
    t = *form_of("dense");
    t.drop = "blk.0.attn_q.weight";
    t.extra = "blk.0.attn_q.weight.s4"; /* a vector of floats */
    refuse(context, &t, "tensor 'blk.0.attn_q.weight.s4' is [");
    sqz_context_close(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_expands_to_what_the_definition_says),
        cmocka_unit_test(every_product_fits_int8),
        cmocka_unit_test(what_no_writer_makes_is_seen),
        cmocka_unit_test(a_packed_model_runs_as_its_int8_numbers_do),
        cmocka_unit_test(a_packed_model_leaves_as_its_int8_numbers_do),
        cmocka_unit_test(a_bad_row_is_refused_by_name),
        cmocka_unit_test(what_does_not_fit_the_description_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
