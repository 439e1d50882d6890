/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 on the messages of FIPS 180-4's examples and of NIST's short-message vectors. */
#include <string.h>

#include "base/sha256.h"
#include "support/test.h"

static void assert_digest(const void *data, size_t bytes, const char *expected)
{
    sqzi_sha256 hash;
    char hex[SQZI_SHA256_HEX];
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, data, bytes);
    sqzi_sha256_final(&hash, hex);
    assert_string_equal(hex, expected);
}

static void published_messages_have_their_digests(void **state)
{
    (void)state;
    static const struct {
        const char *message, *digest;
    } known[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrl"
         "mnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_digest(known[i].message, strlen(known[i].message), known[i].digest);
    const unsigned char byte = 0xbd, four[] = {0xc9, 0x8c, 0x8e, 0x55};
    assert_digest(&byte, 1, "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b");
    assert_digest(four, 4, "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504");
}

/* The lengths around a block, where the length's place does and does not fit behind the message. */
static void zeros_around_the_length_of_a_block_have_their_digests(void **state)
{
    (void)state;
    static const unsigned char zeros[1000];
    assert_digest(zeros, 55, "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7");
    assert_digest(zeros, 56, "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb");
    assert_digest(zeros, 57, "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785");
    assert_digest(zeros, 64, "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
    assert_digest(zeros, 1000, "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53");
}

/* A million times 'a', in pieces of every size: the digest does not depend on them. */
static void a_million_letters_in_any_pieces(void **state)
{
    (void)state;
    static char letters[1000];
    static const size_t sizes[] = {1000, 1, 7, 63, 64, 65, 127, 129, 999};
    memset(letters, 'a', sizeof letters);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        sqzi_sha256 hash;
        char hex[SQZI_SHA256_HEX];
        sqzi_sha256_init(&hash);
        for (size_t done = 0, n; done < 1000000; done += n) {
            n = 1000000 - done < sizes[i] ? 1000000 - done : sizes[i];
            sqzi_sha256_update(&hash, letters, n);
            sqzi_sha256_update(&hash, NULL, 0);
        }
        sqzi_sha256_final(&hash, hex);
        assert_string_equal(hex,
                            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

static void more_may_follow_a_digest(void **state)
{
    (void)state;
    sqzi_sha256 hash;
    char first[SQZI_SHA256_HEX], both[SQZI_SHA256_HEX];
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, "a", 1);
    sqzi_sha256_final(&hash, first);
    sqzi_sha256_update(&hash, "bc", 2);
    sqzi_sha256_final(&hash, both);
    assert_string_equal(first, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
    assert_string_equal(both, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_messages_have_their_digests),
        cmocka_unit_test(zeros_around_the_length_of_a_block_have_their_digests),
        cmocka_unit_test(a_million_letters_in_any_pieces),
        cmocka_unit_test(more_may_follow_a_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
