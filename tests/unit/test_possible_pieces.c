/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces that no text is ever cut into. */
#include "squeeze/possible_pieces.h"

#include "base/memory.h"
#include "support/test.h"

static void what_no_normalised_text_holds_cannot_occur(void **state)
{
    (void)state;
    static const struct {
        const char *piece;
        bool possible, single;
    } cases[] = {{"[UNK]", false, false},
                 {"[unused7]", false, false},
                 {"a", true, true},
                 {"A", false, false},
                 {"\xc3\xa9", false, false},
                 {"##b", true, true},
                 {"##-", false, false},
                 {"-", true, true},
                 {"a-b", false, false},
                 {"\xe4\xb8\xad", true, true},
                 {"##\xe4\xb8\xad", false, false},
                 {"\xe4\xb8\xad\xe5\x9b\xbd", false, false},
                 {"a b", false, false},
                 {"\xc3\x9f", true, true},
                 {"seven77", true, false},
                 {"12345678901", false, false},
                 {"##1234567890", false, false},
                 {"\xef\xac\x81", true, true},
                 {"\xd0\xb9", false, false},
                 {"", false, false}};
    enum { N = sizeof cases / sizeof *cases };
    sqz_error error = {0};
    sqzi_span pieces[N];
    bool possible[N] = {false}, single[N] = {false};
    for (int i = 0; i < N; i++) pieces[i] = sqzi_span_of(cases[i].piece);
    const sqzi_template_item text = {0, 0, 0}, second = {0, 1, 1}, pair[] = {text, second};
    const sqzi_tokenizer_spec spec = {.pieces = pieces,
                                      .n_pieces = N,
                                      .clean_text = true,
                                      .handle_chinese_chars = true,
                                      .strip_accents = true,
                                      .lowercase = true,
                                      .prefix = sqzi_span_of("##"),
                                      .max_word_chars = 10,
                                      .special = {0, 0, 0, 0, 0},
                                      .single = &text,
                                      .n_single = 1,
                                      .pair = pair,
                                      .n_pair = 2};
    sqz_tokenizer *tokenizer;
    sqzt_assert_ok(sqzi_tokenizer_open(&sqzi_default_allocator, &spec, &tokenizer, &error), &error);
    sqzt_assert_ok(sqzi_possible_pieces(tokenizer, N, possible, single, &error), &error);
    for (int i = 0; i < N; i++)
        if (possible[i] != cases[i].possible || single[i] != cases[i].single)
            fail_msg("'%s': possible %d, single %d", cases[i].piece, possible[i], single[i]);
    sqzi_tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_normalised_text_holds_cannot_occur)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
