/* SPDX-License-Identifier: Apache-2.0 */
/* The part of cmocka's interface that the kernel and golden tests use, where there is no setjmp:
 * the first failure ends the program. */
#ifndef SQZT_PLAIN_CMOCKA_H
#define SQZT_PLAIN_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define fail_msg(...)                                                            \
    do {                                                                         \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                          \
        fprintf(stderr, __VA_ARGS__);                                            \
        fprintf(stderr, "\n");                                                   \
        exit(1);                                                                 \
    } while (0)
#define assert_true(condition)                         \
    do {                                               \
        if (!(condition)) fail_msg("%s", #condition);  \
    } while (0)
#define assert_non_null(pointer) assert_true((pointer) != NULL)
#define assert_int_equal(a, b) assert_true((a) == (b))
#define assert_ptr_equal(a, b) assert_true((a) == (b))
#define assert_memory_equal(a, b, bytes) assert_true(memcmp(a, b, bytes) == 0)
#define assert_string_equal(a, b) assert_true(strcmp(a, b) == 0)
#define assert_in_range(value, least, most) assert_true((value) >= (least) && (value) <= (most))

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
#define cmocka_unit_test(function) {#function, function}

static inline int run_all(const struct CMUnitTest *tests, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        void *state = NULL;
        printf("%s\n", tests[i].name);
        tests[i].run(&state);
    }
    printf("%zu tests passed\n", n);
    return 0;
}
#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    run_all(tests, sizeof(tests) / sizeof *(tests))

#endif
