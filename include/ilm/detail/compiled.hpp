#pragma once

// The library is header-only. A program may instead link the target `ilm::compiled`, which defines
// ILM_COMPILED and brings the plain classes as a static library: then headers only declare what the
// library defines. Every translation unit of a program has to make the same choice.
//
// ILM_INSTANCE(class some<id>) names an instance of a template that many programs have in
// common: the library has it as well, in the sources that define ILM_COMPILES_INSTANCES.

#ifndef ILM_COMPILED
#define ILM_INLINE inline
#define ILM_INSTANCE(...) static_assert(true)
#elif defined(ILM_COMPILES_INSTANCES)
#define ILM_INLINE
#define ILM_INSTANCE(...) template __VA_ARGS__
#else
#define ILM_INLINE
#define ILM_INSTANCE(...) extern template __VA_ARGS__
#endif
