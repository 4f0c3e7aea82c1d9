/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <vcpuhp/version.h>

#define MAJOR VCPUHP_VERSION_MAJOR
#define MINOR VCPUHP_VERSION_MINOR
#define MICRO VCPUHP_VERSION_MICRO

static void the_version_is_the_same_as_a_string_and_as_numbers(void **state)
{
    g_autofree char *numbers = g_strdup_printf("%d.%d.%d", MAJOR, MINOR, MICRO);

    (void)state;
    assert_string_equal(VCPUHP_VERSION, numbers);
}

static void the_library_has_the_version_of_its_headers(void **state)
{
    (void)state;
    assert_string_equal(vcpuhp_version(), VCPUHP_VERSION);
}

static void this_version_and_earlier_ones_pass_the_check(void **state)
{
    (void)state;
    assert_true(VCPUHP_CHECK_VERSION(MAJOR, MINOR, MICRO));
    assert_true(VCPUHP_CHECK_VERSION(MAJOR, MINOR, MICRO - 1));
    assert_true(VCPUHP_CHECK_VERSION(MAJOR, MINOR - 1, MICRO + 1));
    assert_true(VCPUHP_CHECK_VERSION(MAJOR - 1, MINOR + 1, MICRO + 1));
}

static void later_versions_fail_the_check(void **state)
{
    (void)state;
    assert_false(VCPUHP_CHECK_VERSION(MAJOR, MINOR, MICRO + 1));
    assert_false(VCPUHP_CHECK_VERSION(MAJOR, MINOR + 1, MICRO - 1));
    assert_false(VCPUHP_CHECK_VERSION(MAJOR + 1, MINOR - 1, MICRO - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_version_is_the_same_as_a_string_and_as_numbers),
        cmocka_unit_test(the_library_has_the_version_of_its_headers),
        cmocka_unit_test(this_version_and_earlier_ones_pass_the_check),
        cmocka_unit_test(later_versions_fail_the_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
