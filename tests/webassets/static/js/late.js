add("late");
