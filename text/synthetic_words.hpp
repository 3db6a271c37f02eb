#pragma once

// Internal: not part of the public interface.

#include <string_view>

/// The words of the synthetic corpus, by class. Within a class the first words are the most frequent (weights
/// fall as 1 / (rank + 2)), unless the class is made `even`. Nouns that follow "a" begin with a consonant, so
/// that "an" is not needed.
namespace gradus::synthetic {

enum class Gender { she, he, it };

/// A noun or a verb.
struct Word {
  std::string_view one;   // girl; she walks
  std::string_view many;  // girls; they walk
  Gender gender = Gender::it;
};

/// The heroes of stories; groups have no singular.
inline constexpr Word heroes[] = {
    {"girl", "", Gender::she}, {"queen", "", Gender::she}, {"boy", "", Gender::he},
    {"king", "", Gender::he},  {"fox", "", Gender::it},    {"robot", "", Gender::it},
};
inline constexpr std::string_view hero_groups[] = {"children", "pirates"};
/// What the hero finds, and where; named in the first line and again in the last.
inline constexpr std::string_view treasures[] = {"lantern", "mirror", "crown", "violin", "drum", "kite"};
inline constexpr std::string_view places[] = {"village", "forest", "city",     "castle", "harbor",
                                              "market",  "valley", "mountain", "desert", "island",
                                              "school",  "mill",   "cave",     "inn"};

inline constexpr Word people[] = {
    {"man", "men", Gender::he},
    {"woman", "women", Gender::she},
    {"brother", "brothers", Gender::he},
    {"sister", "sisters", Gender::she},
    {"father", "fathers", Gender::he},
    {"mother", "mothers", Gender::she},
    {"son", "sons", Gender::he},
    {"daughter", "daughters", Gender::she},
    {"lord", "lords", Gender::he},
    {"lady", "ladies", Gender::she},
    {"nephew", "nephews", Gender::he},
    {"niece", "nieces", Gender::she},
    {"grandfather", "grandfathers", Gender::he},
    {"grandmother", "grandmothers", Gender::she},
    {"husband", "husbands", Gender::he},
    {"wife", "wives", Gender::she},
    {"waiter", "waiters", Gender::he},
    {"countess", "countesses", Gender::she},
    {"gentleman", "gentlemen", Gender::he},
    {"maid", "maids", Gender::she},
};
inline constexpr Word animals[] = {
    {"dog", "dogs"},           {"cat", "cats"},       {"horse", "horses"},       {"bird", "birds"},
    {"cow", "cows"},           {"mouse", "mice"},     {"wolf", "wolves"},        {"goat", "goats"},
    {"duck", "ducks"},         {"frog", "frogs"},     {"rabbit", "rabbits"},     {"donkey", "donkeys"},
    {"goose", "geese"},        {"raven", "ravens"},   {"hedgehog", "hedgehogs"}, {"snake", "snakes"},
    {"squirrel", "squirrels"}, {"lizard", "lizards"}, {"beaver", "beavers"},     {"turtle", "turtles"},
};
inline constexpr Word things[] = {
    {"house", "houses"},   {"tree", "trees"},       {"door", "doors"},     {"table", "tables"},
    {"boat", "boats"},     {"letter", "letters"},   {"stone", "stones"},   {"book", "books"},
    {"bridge", "bridges"}, {"basket", "baskets"},   {"window", "windows"}, {"flower", "flowers"},
    {"bell", "bells"},     {"garden", "gardens"},   {"candle", "candles"}, {"ship", "ships"},
    {"coat", "coats"},     {"river", "rivers"},     {"tower", "towers"},   {"bottle", "bottles"},
    {"cake", "cakes"},     {"wagon", "wagons"},     {"hat", "hats"},       {"chair", "chairs"},
    {"knife", "knives"},   {"ladder", "ladders"},   {"pot", "pots"},       {"fence", "fences"},
    {"barrel", "barrels"}, {"blanket", "blankets"}, {"cup", "cups"},       {"painting", "paintings"},
    {"drawer", "drawers"}, {"ring", "rings"},       {"mask", "masks"},     {"tent", "tents"},
    {"cloak", "cloaks"},   {"wheel", "wheels"},     {"plate", "plates"},   {"hammer", "hammers"},
    {"pillow", "pillows"}, {"coin", "coins"},       {"kettle", "kettles"}, {"flag", "flags"},
    {"rope", "ropes"},     {"shoe", "shoes"},       {"spoon", "spoons"},   {"statue", "statues"},
};
inline constexpr std::string_view adjectives[] = {
    "little", "old",     "good",   "young",  "happy",   "small",  "big",     "red",    "dark",   "kind",
    "cold",   "poor",    "white",  "quiet",  "strong",  "brave",  "strange", "black",  "tired",  "proud",
    "green",  "hungry",  "clever", "gentle", "warm",    "wild",   "silver",  "lonely", "blue",   "noisy",
    "famous", "lazy",    "tiny",   "rusty",  "curious", "broken", "soft",    "heavy",  "golden", "dusty",
    "bright", "careful", "round",  "sleepy", "wooden",  "polite", "yellow",  "muddy",
};
inline constexpr std::string_view adverbs[] = {"again",  "slowly",   "early",  "quietly", "together", "often",
                                               "gladly", "outside",  "loudly", "alone",   "quickly",  "here",
                                               "gently", "upstairs", "well",   "nearby"};
inline constexpr std::string_view prepositions[] = {"near",   "behind", "with",  "under",
                                                    "beside", "from",   "above", "without"};
inline constexpr std::string_view times[] = {"day",    "morning", "evening", "night",
                                             "winter", "summer",  "spring",  "autumn"};
inline constexpr std::string_view connectives[] = {"then",     "soon",      "later",      "now",
                                                   "suddenly", "meanwhile", "afterwards", "tomorrow"};
inline constexpr std::string_view numbers[] = {"two", "three", "four", "seven"};

inline constexpr Word intransitive_verbs[] = {
    {"sleeps", "sleep"},   {"sings", "sing"},     {"waits", "wait"},       {"laughs", "laugh"},
    {"works", "work"},     {"rests", "rest"},     {"cries", "cry"},        {"dances", "dance"},
    {"smiles", "smile"},   {"dreams", "dream"},   {"plays", "play"},       {"hides", "hide"},
    {"listens", "listen"}, {"shivers", "shiver"}, {"trembles", "tremble"}, {"snores", "snore"},
};
inline constexpr Word transitive_verbs[] = {
    {"sees", "see"},      {"likes", "like"},     {"takes", "take"},         {"wants", "want"},
    {"carries", "carry"}, {"opens", "open"},     {"follows", "follow"},     {"needs", "need"},
    {"watches", "watch"}, {"paints", "paint"},   {"buys", "buy"},           {"breaks", "break"},
    {"hears", "hear"},    {"forgets", "forget"}, {"sells", "sell"},         {"pulls", "pull"},
    {"pushes", "push"},   {"lifts", "lift"},     {"draws", "draw"},         {"chooses", "choose"},
    {"loses", "lose"},    {"admires", "admire"}, {"remembers", "remember"}, {"describes", "describe"},
    {"hates", "hate"},    {"cleans", "clean"},   {"repairs", "repair"},     {"touches", "touch"},
    {"guards", "guard"},  {"borrows", "borrow"},
};
inline constexpr Word motion_verbs[] = {{"goes", "go"},       {"walks", "walk"},     {"runs", "run"},
                                        {"comes", "come"},    {"travels", "travel"}, {"rides", "ride"},
                                        {"hurries", "hurry"}, {"sails", "sail"}};
inline constexpr Word speech_verbs[] = {{"says", "say"},         {"asks", "ask"},     {"answers", "answer"},
                                        {"whispers", "whisper"}, {"shouts", "shout"}, {"thinks", "think"}};
inline constexpr Word reflexive_verbs[] = {{"washes", "wash"},
                                           {"scratches", "scratch"},
                                           {"hurts", "hurt"},
                                           {"enjoys", "enjoy"},
                                           {"defends", "defend"}};
inline constexpr Word finding_verbs[] = {
    {"finds", "find"}, {"discovers", "discover"}, {"steals", "steal"}, {"receives", "receive"}};
inline constexpr Word keeping_verbs[] = {
    {"keeps", "keep"}, {"brings", "bring"}, {"hangs", "hang"}, {"leaves", "leave"}};

}  // namespace gradus::synthetic
