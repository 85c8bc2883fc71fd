#include "journal_numbers.h"

void journal_numbers_reset(struct journal_numbers *numbers, uint64_t n)
{
    numbers->first = numbers->next = n + 1;
    if (numbers->told > n)
        numbers->told = n;
    if (numbers->replayed > n)
        numbers->replayed = n;
}

uint64_t journal_numbers_add(struct journal_numbers *numbers, uint64_t appended)
{
    numbers->appended[numbers->next % JOURNAL_NUMBERS] = appended;
    if (numbers->next - numbers->first == JOURNAL_NUMBERS)
        numbers->first++;
    return numbers->next++;
}

uint64_t journal_numbers_find(struct journal_numbers *numbers, uint64_t appended)
{
    uint64_t low = numbers->first, high = numbers->next; /* the first that is beyond is in low..high */
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (numbers->appended[middle % JOURNAL_NUMBERS] <= appended)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > numbers->first && low - 1 > numbers->told)
        numbers->told = low - 1;
    if (numbers->replayed > numbers->told)
        numbers->told = numbers->replayed;
    return numbers->told;
}
