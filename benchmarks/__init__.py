"""What is measured, and how: publishers and workers beside other clients, judging of made histories."""
