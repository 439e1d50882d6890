/* SPDX-License-Identifier: Apache-2.0 */
/* Philox4x32-10 against Random123's known answers (kat_vectors, philox4x32 10), and how its bits
 * are spread. */
#include "base/philox.h"

#include "support/test.h"

static void gives_the_known_answers(void **state)
{
    (void)state;
    static const struct {
        sqzi_philox_block counter;
        sqzi_philox_key key;
        sqzi_philox_block answer;
    } known[] = {
        {{{0, 0, 0, 0}}, {{0, 0}}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
        {{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
         {{0xffffffff, 0xffffffff}},
         {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
        {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
         {{0xa4093822, 0x299f31d0}},
         {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const sqzi_philox_block got = sqzi_philox(known[i].counter, known[i].key);
        for (size_t j = 0; j < 4; j++) assert_int_equal(got.word[j], known[i].answer.word[j]);
    }
}

static uint32_t ones(uint32_t x)
{
    uint32_t n = 0;
    for (; x; x &= x - 1) n++;
    return n;
}

/* One bit of counter or key changes 64 of 128 bits in the mean. Over 6 x 32 bits the mean's
 * deviation is sqrt(128) / 2 / sqrt(192) = 0.41: five of them are allowed. */
static void every_bit_of_counter_and_key_changes_half_of_the_output(void **state)
{
    (void)state;
    const sqzi_philox_block counter = {{3, 1, 4, 1}},
                            before = sqzi_philox(counter, (sqzi_philox_key){{5, 9}});
    uint32_t changed = 0;
    for (uint32_t i = 0; i < 6 * 32; i++) {
        sqzi_philox_block other = counter;
        sqzi_philox_key key = {{5, 9}};
        if (i < 4 * 32) other.word[i / 32] ^= 1u << i % 32;
        else key.word[i / 32 - 4] ^= 1u << i % 32;
        const sqzi_philox_block after = sqzi_philox(other, key);
        for (size_t j = 0; j < 4; j++) changed += ones(before.word[j] ^ after.word[j]);
    }
    assert_in_range(changed, (uint32_t)(192 * (64 - 5 * 0.41)), (uint32_t)(192 * (64 + 5 * 0.41)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_known_answers),
        cmocka_unit_test(every_bit_of_counter_and_key_changes_half_of_the_output)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
