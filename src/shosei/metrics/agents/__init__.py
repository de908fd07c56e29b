"""What an agent system makes of its tasks: tasks take the place of requests, and their calls stand in breakdowns."""
