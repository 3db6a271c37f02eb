#pragma once

// Internal: not part of the public interface.

#include <span>
#include <string_view>

/// The words of the synthetic corpus, by class. Within a class the first words are the most frequent (weights
/// fall as 1 / (rank + 2)), unless the class is made `even`. Nouns that follow "a" begin with a consonant, so
/// that "an" is not needed.
namespace gradus::synthetic {

enum class Gender { she, he, it };

struct Noun {
  std::string_view one;
  std::string_view many;
  Gender gender = Gender::it;
};

struct Verb {
  std::string_view one;   // she walks
  std::string_view many;  // they walk
};

/// The heroes of stories; groups have no singular.
std::span<const Noun> heroes();
std::span<const std::string_view> hero_groups();
/// What the hero finds, and where; named in the first line and again in the last.
std::span<const std::string_view> treasures();
std::span<const std::string_view> places();

std::span<const Noun> people();
std::span<const Noun> animals();
std::span<const Noun> things();
std::span<const std::string_view> adjectives();
std::span<const std::string_view> adverbs();
std::span<const std::string_view> prepositions();
std::span<const std::string_view> times();
std::span<const std::string_view> connectives();
std::span<const std::string_view> numbers();

std::span<const Verb> intransitive_verbs();
std::span<const Verb> transitive_verbs();
std::span<const Verb> motion_verbs();
std::span<const Verb> speech_verbs();
std::span<const Verb> reflexive_verbs();
std::span<const Verb> finding_verbs();
std::span<const Verb> keeping_verbs();

}  // namespace gradus::synthetic
