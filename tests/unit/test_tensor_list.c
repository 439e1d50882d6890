/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what a model is made of against the tensors of its file: of every form each tensor
 * once, with its shape, and nothing else; matrices and biases with the linear that reads them. */
#include "nn/tensor_list.h"

#include <stdlib.h>

#include "io/packed_rows.h"
#include "model/loader.h"
#include "support/test.h"
#include "support/tiny_model.h"

typedef struct seen {
    const sqz_model *model;
    const char *form;
    uint32_t *visits; /* of each tensor of the file */
    uint64_t parameters, embedding_parameters;
} seen;

/* What the entry points to is what its role says. */
static void check_place(const seen *s, const sqzi_tensor_entry *e)
{
    const bool matrix = e->role == SQZI_ROLE_WHOLE || e->role == SQZI_ROLE_FIRST ||
                        e->role == SQZI_ROLE_SECOND,
               norm = e->role == SQZI_ROLE_NORM_WEIGHT || e->role == SQZI_ROLE_NORM_BIAS;
    assert_true((e->linear != NULL) == (matrix || e->role == SQZI_ROLE_BIAS));
    assert_true((e->norm != NULL) == norm);
    assert_true((e->table != NULL) == (e->role == SQZI_ROLE_TABLE));
    if (matrix) {
        const sqzi_term *term = &e->linear->terms[e->term];
        const sqzi_matrix *m = e->role == SQZI_ROLE_FIRST ? &term->a : &term->b;
        assert_true((term->a.packed == NULL) == (e->role == SQZI_ROLE_WHOLE));
        assert_true(m->n_out == e->rows && m->n_in == e->columns * e->groups &&
                    m->groups == e->groups);
    }
    if (e->part != SQZI_PART_BLOCK) return;
    const unsigned char *at = (const unsigned char *)(e->linear ? (const void *)e->linear
                                                                : (const void *)e->norm),
                        *block = (const unsigned char *)&s->model->encoder.blocks[e->block];
    assert_true(at >= block && at < block + sizeof(sqzi_block));
}

static void visit(void *user, const sqzi_tensor_entry *e)
{
    seen *s = user;
    const sqzi_gguf *gguf = s->model->gguf;
    const uint32_t parts = e->table ? e->table->parts : 0; /* the words, product quantised */
    uint32_t bits;
    const sqzi_gguf_tensor *t = sqzi_stored_tensor(gguf, parts ? "token_embd.codes" : e->name,
                                                   &bits);
    if (!t) fail_msg("%s: the file has no tensor '%s'", s->form, e->name);
    s->visits[t - sqzi_gguf_tensor_at(gguf, 0)]++;
    const uint64_t columns = parts  ? parts
                             : bits ? sqzi_packed_row_bytes(bits, e->columns)
                                    : e->columns;
    if (t->n_dims != (e->columns ? 2u : 1u) || t->shape[0] != e->rows ||
        (e->columns && t->shape[1] != columns))
        fail_msg("%s: '%s' is listed as [%u, %u]", s->form, e->name, e->rows, e->columns);
    const uint64_t n = (uint64_t)e->rows * (e->columns ? e->columns : 1);
    s->parameters += n;
    if (e->part == SQZI_PART_EMBEDDING) s->embedding_parameters += n;
    check_place(s, e);
}

/* What comes with another tensor: scales, and the centroids of codes. */
static bool is_scale(sqzi_span name)
{
    static const char end[] = ".scale";
    if (sqzi_span_is(name, "token_embd.centroids")) return true;
    return name.n > sizeof end - 1 &&
           memcmp(name.bytes + name.n - (sizeof end - 1), end, sizeof end - 1) == 0;
}

static void the_list_is_the_file(void **state)
{
    (void)state;
    sqz_error error = {0};
    sqz_context *context;
    const char *path = sqzt_temporary("list.gguf");
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &context, &error),
                   &error);
    for (const sqzt_named_tiny *form = sqzt_tiny_forms; form->name; form++) {
        seen s = {.form = form->name};
        sqz_model *model;
        sqzt_tiny_write(&form->tiny, path);
        sqzt_assert_ok(sqz_model_open(context, path, &model, &error), &error);
        const uint32_t n = sqzi_gguf_n_tensors(model->gguf);
        s.model = model;
        assert_non_null(s.visits = calloc(n, sizeof *s.visits));
        sqzi_tensor_list(&model->encoder, &model->head, visit, &s);
        for (uint32_t i = 0; i < n; i++) {
            const sqzi_span name = sqzi_gguf_tensor_at(model->gguf, i)->name;
            if (s.visits[i] != (is_scale(name) ? 0 : 1))
                fail_msg("%s: '%.*s' is listed %u times", form->name, (int)name.n, name.bytes,
                         s.visits[i]);
        }
        assert_true(s.parameters == model->info.n_parameters);
        assert_true(s.embedding_parameters == model->info.n_embedding_parameters);
        free(s.visits);
        sqz_model_close(model);
    }
    sqz_context_close(context);
}

static void linears_of_a_block_go_by_their_names(void **state)
{
    (void)state;
    static const char *const names[] = {"attn_q",      "attn_k", "attn_v",
                                        "attn_output", "ffn_up", "ffn_down"};
    const sqzi_block sizes = {.heads = 3, .head_width = 5, .ffn_width = 70};
    static const uint32_t sides[][2] = {{40, 15}, {40, 15}, {40, 15}, {15, 40}, {40, 70}, {70, 40}};
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        uint32_t n_in, n_out;
        sqzi_block_linear_sides(&sizes, 40, j, &n_in, &n_out);
        assert_string_equal(sqzi_block_linear_name(j), names[j]);
        assert_true(n_in == sides[j][0] && n_out == sides[j][1]);
    }
    assert_ptr_equal(sqzi_block_linear_of(&sizes, SQZI_FFN_DOWN), &sizes.ffn_down);
    assert_ptr_equal(sqzi_block_linear_of(&sizes, SQZI_ATTN_Q), &sizes.attn_q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_list_is_the_file),
                                       cmocka_unit_test(linears_of_a_block_go_by_their_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
