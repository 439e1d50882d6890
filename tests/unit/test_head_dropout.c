/* SPDX-License-Identifier: Apache-2.0 */
/* Where a trained head drops numbers, by its kind. */
#include "base/memory.h"
#include "nn/head_back_grad.h"
#include "support/test.h"
#include "support/tiny_pass.h"

/* The sites of dropout of a head with a dense layer, in their order; returns how many. */
static uint32_t head_sites(const sqzi_head *head, sqzi_dropout_site sites[2])
{
    sqzi_head_tape tape;
    uint32_t n = 0;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    sqzi_head_tape_layout(&tape, head, false, 4, 1, &arena);
    const size_t bytes = arena.used;
    void *memory = sqzi_allocate(&sqzi_default_allocator, bytes);
    assert_non_null(memory);
    arena = sqzi_arena_over(memory, bytes);
    sqzi_head_tape_layout(&tape, head, false, 4, 1, &arena);
    for (uint32_t i = 0; i < tape.back->n_layers; i++)
        if (tape.back->layers[i].kind == SQZI_LAYER_DROPOUT) {
            assert_true(n < 2);
            sites[n++] = tape.back->layers[i].site;
        }
    sqzi_release(&sqzi_default_allocator, memory, bytes);
    return n;
}

/* ELECTRA: dropout, dense, gelu, dropout, output; DistilBERT: dense, relu, dropout, output. */
static void a_dense_with_relu_reads_what_nothing_was_dropped_of(void **state)
{
    static const sqzt_tiny tiny = {.width = 24,
                                   .blocks = 1,
                                   .heads = 2,
                                   .head_width = 8,
                                   .ffn_width = 16,
                                   .embedding_width = 24,
                                   .positions = 40,
                                   .head = "sequence",
                                   .pool = "cls",
                                   .classes = 3,
                                   .head_dense = true,
                                   .seed = 9};
    (void)state;
    const sqzt_pass_options options = {.members = 1, .lengths = {5}, .padding = UINT32_MAX};
    sqzt_pass p;
    sqzi_dropout_site sites[2];
    sqzt_pass_make(&p, &tiny, &options);
    p.model.head.activation = SQZK_GELU;
    assert_int_equal(head_sites(&p.model.head, sites), 2);
    assert_int_equal(sites[0], SQZI_SITE_DENSE);
    assert_int_equal(sites[1], SQZI_SITE_CLASSES);
    p.model.head.activation = SQZK_RELU;
    assert_int_equal(head_sites(&p.model.head, sites), 1);
    assert_int_equal(sites[0], SQZI_SITE_CLASSES);
    sqzt_pass_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dense_with_relu_reads_what_nothing_was_dropped_of)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
