/* SPDX-License-Identifier: Apache-2.0 */
/* The matrices of an open model, packed again from other numbers, are those of a model opened from
 * a file that holds these numbers, to the bit: of every form and every float type. */
#include <stdio.h>
#include <stdlib.h>

#include "base/half.h"
#include "model/loader.h"
#include "nn/pack.h"
#include "nn/tensor_list.h"
#include "support/test.h"
#include "support/tiny_model.h"

static unsigned char *read_file(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *n = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*n);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}

/* A copy of the model's file in which every number of every matrix of its blocks is another one. */
static void write_changed(const sqz_model *model, const char *path, const char *to)
{
    size_t n;
    unsigned char *bytes = read_file(path, &n);
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(model->gguf); i++) {
        const sqzi_gguf_tensor *t = sqzi_gguf_tensor_at(model->gguf, i);
        if (t->n_dims != 2 || t->name.n < 4 || memcmp(t->name.bytes, "blk.", 4) != 0) continue;
        for (uint64_t j = 0; j < t->n; j++) {
            const float x = (float)sqzi_load_real(t->data, (size_t)j, t->type),
                        changed = 0.75f - 1.5f * x * (float)(1 + j % 3);
            const uint16_t half = sqzi_to_bf16(changed);
            unsigned char *at = bytes + t->offset + j * sqzi_type_bytes(t->type);
            if (t->type == SQZI_F32) memcpy(at, &changed, sizeof changed);
            else memcpy(at, &half, sizeof half);
        }
    }
    FILE *file = fopen(to, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    free(bytes);
}

static void check_matrix(const char *what, const sqzi_matrix *open, const sqzi_matrix *changed,
                         const sqzi_gguf_tensor *tensor)
{
    const size_t bytes = sqzi_matrix_bytes(open);
    assert_non_null(tensor);
    void *placed = malloc(sqzi_placed_bytes(open, tensor->type)),
         *panels = aligned_alloc(64, bytes);
    assert_true(placed && panels);
    assert_memory_not_equal(open->packed, changed->packed, bytes);
    sqzi_pack(open, sqzi_pack_place(open, (sqzi_numbers){tensor->data, tensor->type, NULL}, placed),
              NULL, panels);
    if (memcmp(panels, changed->packed, bytes) != 0) fail_msg("%s: other bytes", what);
    free(placed);
    free(panels);
}

static void check_linear(const char *form, const char *name, const sqzi_linear *open,
                         const sqzi_linear *changed, const sqzi_gguf *gguf)
{
    for (uint32_t t = 0; t < open->n_terms; t++) {
        const bool pair = open->terms[t].a.packed != NULL;
        char full[160];
        snprintf(full, sizeof full, "%s.%s", name, pair ? "b" : "weight");
        check_matrix(form, &open->terms[t].b, &changed->terms[t].b,
                     sqzi_gguf_find_tensor(gguf, full));
        snprintf(full, sizeof full, "%s.a", name);
        if (pair)
            check_matrix(form, &open->terms[t].a, &changed->terms[t].a,
                         sqzi_gguf_find_tensor(gguf, full));
    }
}

static void check_form(sqz_context *context, const sqzt_named_tiny *form)
{
    sqz_error error = {0};
    sqz_model *open, *changed;
    const char *path = sqzt_temporary("open.gguf"), *other = sqzt_temporary("changed.gguf");
    sqzt_tiny_write(&form->tiny, path);
    sqzt_assert_ok(sqz_model_open(context, path, &open, &error), &error);
    write_changed(open, path, other);
    sqzt_assert_ok(sqz_model_open(context, other, &changed, &error), &error);
    sqzi_linear_entry x, y;
    for (uint32_t i = 0; sqzi_linear_list(&open->encoder, NULL, i, &x); i++) {
        assert_true(sqzi_linear_list(&changed->encoder, NULL, i, &y));
        if (x.part == SQZI_PART_BLOCK)
            check_linear(form->name, x.name, x.linear, y.linear, changed->gguf);
    }
    sqz_model_close(open);
    sqz_model_close(changed);
}

static void repacked_matrices_are_those_of_a_file_with_the_same_numbers(void **state)
{
    (void)state;
    static const char *const levels[] = {"portable", ""};
    sqz_error error = {0};
    for (int l = 0; l < 2; l++) {
        sqz_context *context;
        sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1, .cpu = levels[l]},
                                        &context, &error),
                       &error);
        for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++)
            if (form->tiny.type != SQZI_S8) check_form(context, form);
        sqz_context_close(context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repacked_matrices_are_those_of_a_file_with_the_same_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
