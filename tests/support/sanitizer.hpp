#pragma once

// ILM_TEST_HAS_SANITIZER: a sanitizer is built in. It has an allocator of its own, which a program
// may not replace, and needs a file descriptor to look at an object.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ILM_TEST_HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ILM_TEST_HAS_SANITIZER 1
#endif
#endif
