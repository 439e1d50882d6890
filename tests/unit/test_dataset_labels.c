/* SPDX-License-Identifier: Apache-2.0 */
/* What the classes of labelled data are called, and in which order. */
#include "support/dataset_text.h"

static void classes_are_sorted_numbers_by_their_value(void **state)
{
    (void)state;
    size_t n;
    sqz_dataset *d = opened("text,label\na,10\nb,9\nc,-1\nd,9\n", OPTIONS(0));
    const sqz_example *e = sqz_dataset_examples(d, &n);
    assert_classes(d, (const char *const[]){"-1", "9", "10", NULL});
    assert_int_equal(n, 4);
    assert_int_equal(e[0].label, 2);
    assert_int_equal(e[3].label, 1);
    assert_int_equal(e[3].line, 5);
    sqz_dataset_close(d);
    d = opened("text,label\na,10\nb,9\nc,ten\n", OPTIONS(0));
    assert_classes(d, (const char *const[]){"10", "9", "ten", NULL});
    sqz_dataset_close(d);
    const char *const given[] = {"ten", "9", "10"};
    d = opened("text,label\na,10\nb,9\n", OPTIONS(.classes = given, .n_classes = 3));
    assert_classes(d, (const char *const[]){"ten", "9", "10", NULL});
    assert_int_equal(sqz_dataset_examples(d, &n)[0].label, 2);
    sqz_dataset_close(d);
}

static void several_labels_come_parted_or_as_an_array(void **state)
{
    (void)state;
    size_t n;
    const sqz_dataset_options many = {.kind = SQZ_LABELS_MANY};
    sqz_dataset *d = opened("text,label\na,red | blue|red\nb,\nc,\"[\"\"blue\"\", 7]\"\n", many);
    const sqz_example *e = sqz_dataset_examples(d, &n);
    assert_classes(d, (const char *const[]){"7", "blue", "red", NULL});
    assert_int_equal(e[0].n_labels, 2);
    assert_int_equal(e[0].labels[0], 1);
    assert_int_equal(e[0].labels[1], 2);
    assert_int_equal(e[1].n_labels, 0);
    assert_int_equal(e[2].n_labels, 2);
    assert_int_equal(e[2].labels[0], 0);
    sqz_dataset_close(d);
    d = opened("text,label\na,x; y ;;z\n", OPTIONS(.kind = SQZ_LABELS_MANY, .separator = ";"));
    assert_int_equal(sqz_dataset_examples(d, &n)[0].n_labels, 3);
    sqz_dataset_close(d);
}

static void white_space_at_the_ends_of_a_label_is_no_part_of_it(void **state)
{
    (void)state;
    size_t n;
    sqz_dataset *d = opened("text,label\na,up\nb, up \nc,down\nd,\"up\n\"\ne,up\xC2\xA0\n"
                            "f,\xE3\x80\x80go  up\n",
                            OPTIONS(0));
    const sqz_example *e = sqz_dataset_examples(d, &n);
    assert_int_equal(n, 6);
    assert_classes(d, (const char *const[]){"down", "go  up", "up", NULL});
    for (size_t i = 0; i < n; i++) assert_int_equal(e[i].label, i == 2 ? 0 : i == 5 ? 1 : 2);
    sqz_dataset_close(d);
    d = opened("{\"text\":\"a\",\"label\":\" up\"}\n{\"text\":\"b\",\"label\":\"up\"}\n",
               OPTIONS(.format = SQZ_DATA_JSONL));
    assert_classes(d, (const char *const[]){"up", NULL});
    sqz_dataset_close(d);
    d = opened("{\"text\":\"a\",\"label\":[\" up\",\"up\"]}\n",
               OPTIONS(.format = SQZ_DATA_JSONL, .kind = SQZ_LABELS_MANY));
    assert_classes(d, (const char *const[]){"up", NULL});
    assert_int_equal(sqz_dataset_examples(d, &n)[0].n_labels, 1);
    sqz_dataset_close(d);
    d = opened("{\"train\":[[\"a\",\"up\"],[\"b\",\"up\\t\"]]}", OPTIONS(.format = SQZ_DATA_CLINC));
    assert_classes(d, (const char *const[]){"up", NULL});
    sqz_dataset_close(d);
    refused("text,label\na,\xC2\xA0\n", OPTIONS(0), SQZ_EFORMAT, "line 2: the row has no label");
    refused("{\"train\":[[\"a\",\" \"]]}", OPTIONS(.format = SQZ_DATA_CLINC), SQZ_EFORMAT,
            "line 1: the label is nothing but blanks");
}

static void classes_that_are_given_keep_their_white_space(void **state)
{
    (void)state;
    size_t n;
    const char *const given[] = {"up ", "up", " down"};
    const sqz_dataset_options o = {.classes = given, .n_classes = 3};
    sqz_dataset *d = opened("text,label\na,up\nb,up \nc, down\nd,  up\n", o);
    const sqz_example *e = sqz_dataset_examples(d, &n);
    assert_classes(d, (const char *const[]){"up ", "up", " down", NULL});
    assert_int_equal(e[0].label, 1);
    assert_int_equal(e[1].label, 0);
    assert_int_equal(e[2].label, 2);
    assert_int_equal(e[3].label, 1);
    sqz_dataset_close(d);
    refused("text,label\na,down\n", o, SQZ_EFORMAT,
            "the label 'down' is none of the 3 classes 'up ', 'up', ' down'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_sorted_numbers_by_their_value),
        cmocka_unit_test(several_labels_come_parted_or_as_an_array),
        cmocka_unit_test(white_space_at_the_ends_of_a_label_is_no_part_of_it),
        cmocka_unit_test(classes_that_are_given_keep_their_white_space),
    };
    return cmocka_run_group_tests(tests, set_allocator, NULL);
}
