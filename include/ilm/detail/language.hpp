#pragma once

// A header of the standard library goes before any of Asio: 1.22 asks a macro of libstdc++'s how
// memory is allocated, and translation units have to agree on the answer.
#include <cstddef>

// The include that follows an error does not exist: it stops the compiler, which otherwise adds a
// thousand errors of its own to this one.
#if !defined(__cpp_concepts) || __cpp_concepts < 201907L
#error "ILM needs C++20: compile with -std=c++20, or link the CMake target ilm::ilm"
#include <see_the_error_above>
#elif !defined(__cpp_impl_coroutine)
#error "ILM needs the coroutines of C++20: g++ 12, clang 14 or later, and none switched off"
#include <see_the_error_above>
#endif
